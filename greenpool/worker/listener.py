"""The doors of a worker: listening sockets, guests, and the sessions that are logging in.

The engine accepts, and keeps its guests until they have said who they are. Those whose like is
known it lets in by itself (`planning.py`); all others come here, and become sessions. Who serves a
client is decided before a byte is read, by measured load: all workers accept from the same sockets
(`_cparser/listeners.h`).
"""

from __future__ import annotations

import logging
import os
import socket as plain
from collections import Counter
from collections.abc import Iterable

import gevent
from gevent.pool import Group

from greenpool.config import General
from greenpool.observe import events
from greenpool.protocol.errors import ClientError
from greenpool.records import Event, Guest, GuestManners, Refusal, Visit
from greenpool.worker import client_tls, limits, refusals
from greenpool.worker.session import Session
from greenpool.worker.sockets import host_of, set_options
from greenpool.worker.state import Worker

log = logging.getLogger(__name__)


class Listeners:
    """The listening sockets of this worker, and the sessions that are logging in."""

    __slots__ = ("_is_welcome", "_of_address", "_sessions", "_sockets", "_worker")

    def __init__(self, worker: Worker, listeners: Iterable[plain.socket]) -> None:
        self._worker = worker
        self._sessions = Group()
        self._of_address: Counter[bytes] = Counter()  # of the sessions
        self._sockets = list(listeners)
        self._is_welcome = True

    def __len__(self) -> int:
        """Clients that are no one else's yet: guests, logins, and the admin console's."""
        return len(self._sessions) + self._worker.engine.guest_count()

    def descriptors(self) -> list[tuple[int, str]]:
        """Return the listening sockets, with their addresses."""
        return [(sock.fileno(), _address_of(sock)) for sock in self._sockets]

    def logins(self) -> int:
        """Count those that are not the admin console's."""
        sessions = sum(each not in self._worker.consoles for each in self._sessions)
        return sessions + self._worker.engine.guest_count()

    def start(self) -> None:
        """Accept from now on."""
        self.apply(self._worker.config.general)
        for sock in self._sockets:
            sock.setblocking(False)
            self._worker.engine.listen(sock.fileno())

    def stop(self) -> None:
        """Accept no more; this process's copies of the sockets are closed. Sessions go on."""
        self._worker.segment.accept(self._worker.index, False)
        self._worker.engine.deafen()
        for sock in self._sockets:
            sock.close()
        self._sockets = []

    def dismiss(self, error: ClientError) -> None:
        """End all guests and sessions with these words. Switches: no."""
        self._is_welcome = False
        self._receive(self._worker.config.general)
        while guest := self._worker.engine.take_guest(any_of_them=True):
            self._begin(guest)
        # A greenlet that is killed before it began would neither say them nor close its socket;
        # callbacks run in order, so those that are to begin have begun by then.
        gevent.get_hub().loop.run_callback(self._kill_all, error)

    def apply(self, general: General) -> None:
        """Do as the configuration says with whoever is accepted from now on."""
        for sock in self._sockets:
            set_options(sock, general)  # they are inherited
        self._receive(general)

    def on_guest(self) -> None:
        """Make a session of a guest. Runs in the hub."""
        guest = self._worker.engine.take_guest()
        if guest is not None:  # `dismiss` may have been quicker
            self._begin(guest)

    def on_proved(self, event: Event) -> None:
        """Wake the session whose client has proved who it is, or make one. Runs in the hub."""
        worker, client = self._worker, event.client
        if (proof := worker.proofs.get(client)) is not None:
            proof.set(None)
        elif (known := worker.plans.of(event.detail)) is not None:
            session = Session.of_known(worker, client, *known)
            self._sessions.spawn(session.finish, known[1])
        else:
            error = refusals.forgotten()
            worker.engine.refused(refusals.refusal_of(error))
            worker.engine.dismiss(client, error.response())

    def _kill_all(self, error: ClientError) -> None:
        self._sessions.kill(error, block=False)

    def _receive(self, general: General) -> None:
        address_max = general.max_address_client_connections
        manners = GuestManners(
            guests_max=limits.logins_limit(general.max_connections),
            address_guests_max=address_max + limits.ADMIN_CLIENTS if address_max else 0,
            address_clients_max=address_max,
            timeout_ms=general.client_login_timeout_ms,
            welcome=self._is_welcome,
            knows=not general.login_rate_limit,
            offers_tls=self._worker.tls.clients is not None,
            tls=client_tls.of_the_engine(self._worker, general),
        )
        self._worker.engine.receive_guests(manners)

    def _begin(self, guest: Guest) -> None:
        network = limits.network_of(host_of(guest.address))
        if self._is_full() or self._is_full_of(network, guest.neighbours):
            os.close(guest.fd)
            self._worker.engine.visited(Visit.IN_VAIN)
            return
        self._of_address[network] += 1
        self._sessions.spawn(self._run, Session(self._worker, guest), network)

    def _is_full(self) -> bool:
        limit = limits.logins_limit(self._worker.config.general.max_connections)
        if len(self) < limit:
            return False
        events.LOGINS_CROWDED.tell(log, limit=limit)
        return True

    def _is_full_of(self, network: bytes, guests: int) -> bool:
        """Whether an address has so many logins in hand that no other address may suffer from it.

        They count for its limit when they have said what they want: here is who says nothing.
        `guests`: so many of them are the engine's.
        """
        limit = self._worker.config.general.max_address_client_connections
        if not limit or not network:
            return False
        limit = limits.logins_limit(limit + limits.ADMIN_CLIENTS)
        if self._of_address[network] + guests < limit:
            return False
        events.ADDRESS_CROWDED.tell(log, limit=limit)
        self._worker.engine.refused(Refusal.ADDRESS)
        return True

    def _run(self, session: Session, network: bytes) -> None:
        """Greenlet: live a session, which raises nothing."""
        try:
            session.run()
        finally:
            self._of_address[network] -= 1
            if not self._of_address[network]:
                del self._of_address[network]


def _address_of(listener: plain.socket) -> str:
    name = listener.getsockname()
    if not isinstance(name, tuple):
        return str(name)
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
