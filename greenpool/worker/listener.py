"""Accept clients, and have each served by the worker that should serve it.

All workers accept from the same sockets. Before a byte is read the engine says who shall have the
client, by measured load; another worker gets the descriptor and makes the session of it.
Out of descriptors (EMFILE), StreamServer stops accepting for 10 ms to 1 s, which is no busy loop.
"""

from __future__ import annotations

import logging
import os
import socket as plain
from collections import Counter
from collections.abc import Iterable
from functools import partial

import gevent
from gevent import socket
from gevent.pool import Group
from gevent.server import StreamServer

from greenpool.config import General
from greenpool.protocol.errors import ClientError
from greenpool.records import Event, Refusal
from greenpool.worker import limits
from greenpool.worker.session import Session
from greenpool.worker.sockets import host_of, peer_address, set_options
from greenpool.worker.state import Worker

log = logging.getLogger(__name__)


class Listeners:
    """The listening sockets of this worker, and the sessions that are logging in."""

    __slots__ = ("_of_address", "_servers", "_sessions", "_worker")

    def __init__(self, worker: Worker, listeners: Iterable[plain.socket]) -> None:
        self._worker = worker
        self._sessions = Group()
        self._of_address: Counter[bytes] = Counter()  # of the sessions
        self._servers = [self._make_server(each) for each in listeners]

    def __len__(self) -> int:
        """Sessions that Python has in hand: logins, and the admin console's."""
        return len(self._sessions)

    def logins(self) -> int:
        """Count the sessions that are not the admin console's."""
        return sum(each not in self._worker.consoles for each in self._sessions)

    def start(self) -> None:
        """Accept from now on."""
        self.set_options(self._worker.config.general)
        for server in self._servers:
            server.start()

    def stop(self) -> None:
        """Accept no more; this process's copies of the sockets are closed. Sessions go on."""
        self._worker.segment.accept(self._worker.index, False)
        for server in self._servers:
            server.close()
        self._servers = []

    def dismiss(self, error: ClientError) -> None:
        """End all sessions that Python has in hand, with these words. Switches: no."""
        # A greenlet that is killed before it began would neither say them nor close its socket;
        # callbacks run in order, so those that are to begin have begun by then.
        gevent.get_hub().loop.run_callback(self._kill_all, error)

    def set_options(self, general: General) -> None:
        """Set socket options for whoever is accepted from now on (they are inherited)."""
        for server in self._servers:
            set_options(server.socket, general)

    def adopt(self, event: Event) -> None:
        """Serve a client that another worker has accepted. Runs in the hub.

        It was on its way here when this worker stopped to accept: then another may have it.
        """
        with plain.socket(fileno=event.detail) as sock:
            if self._servers or not self._pass_on(sock.fileno()):
                address = peer_address(sock)
                self._begin(sock.detach(), sock.family, address)

    def _kill_all(self, error: ClientError) -> None:
        self._sessions.kill(error, block=False)

    def _make_server(self, listener: plain.socket) -> StreamServer:
        """Make one that hands over bare descriptors: sockets are made for the few who need one.

        spawn=None: `_route` is called in the hub, and owns what it is given.
        """
        sock = socket.socket(fileno=listener.detach())
        server = StreamServer(sock, handle=partial(self._route, sock.family), spawn=None)
        server.do_read = partial(_accept, sock)
        server.do_close = _keep
        return server

    def _route(self, family: int, fd: int, address: object) -> None:
        """Decide who serves a client that was just accepted. Runs in the hub. Switches: no."""
        if self._pass_on(fd):
            os.close(fd)
        else:
            self._begin(fd, family, address)

    def _pass_on(self, fd: int) -> bool:
        """Pass a client to the worker that should serve it; False: that is this one."""
        worker = self._worker
        target = worker.engine.place()
        return target != worker.index and worker.engine.pass_fd(target, fd)

    def _begin(self, fd: int, family: int, address: object) -> None:
        network = limits.network_of(host_of(address))
        if self._is_full() or self._is_full_of(network):
            os.close(fd)
            return
        self._of_address[network] += 1
        self._sessions.spawn(self._run, Session(self._worker, fd, family, address), network)

    def _is_full(self) -> bool:
        limit = limits.logins_limit(self._worker.config.general.max_connections)
        if len(self._sessions) < limit:
            return False
        log.warning("%d clients are logging in: closing another unheard", limit)
        return True

    def _is_full_of(self, network: bytes) -> bool:
        """Whether an address has so many logins in hand that no other address may suffer from it.

        They count for its limit when they have said what they want: here is who says nothing.
        """
        limit = self._worker.config.general.max_address_client_connections
        if not limit or not network:
            return False
        limit = limits.logins_limit(limit + limits.ADMIN_CLIENTS)
        if self._of_address[network] < limit:
            return False
        log.info("%d clients of one address are logging in: closing another unheard", limit)
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


def _accept(listener: socket.socket) -> tuple[int, object] | None:
    """Accept a client, nonblocking; None: nobody is there. StreamServer itself makes sockets."""
    try:
        fd, address = listener._accept()
    except BlockingIOError:
        return None
    os.set_blocking(fd, False)
    return fd, address


def _keep(*_: object) -> None:
    """Close nothing when a handler returns: the descriptor is the session's."""
