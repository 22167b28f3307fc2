"""End server connections: say Terminate, wait until PostgreSQL has hung up, free the place.

The place stays taken until then, so that a pool's limit holds for PostgreSQL's backends too.
"""

from __future__ import annotations

import logging
import socket as plain

import gevent
from gevent import socket

from greenpool.protocol import frontend
from greenpool.records import Event, Reason
from greenpool.worker import cancel
from greenpool.worker.state import Worker

log = logging.getLogger(__name__)

HANG_UP_S = 2.0
"""How long PostgreSQL may take to end a backend that was told to; it needs a millisecond."""

_BUSY = frozenset({Reason.REAPED, Reason.UNCLEAN, Reason.CANCEL_STUCK})


def on_event(worker: Worker, event: Event) -> None:
    """Retire one server. Greenlet. Switches: yes.

    A backend that may still be running a query for nobody is cancelled first: it would read
    Terminate only afterwards, and keep its locks until then.
    """
    reason = Reason(event.detail)
    log.debug("server %d of pool %d: closing: %s", event.slot, event.pool, reason.name)
    fd = worker.engine.surrender(event.pool, event.slot)
    sock = socket.socket(fileno=fd) if fd >= 0 else None
    try:
        if reason in _BUSY:
            cancel.deliver(worker, event.pool, event.slot)
        if sock is not None:
            hang_up(sock)
    finally:
        if sock is not None:
            sock.close()
        worker.engine.freed(event.pool, event.slot)


def hang_up(sock: socket.socket) -> None:
    """Say Terminate and wait for PostgreSQL to hang up, HANG_UP_S at most."""
    try:
        with gevent.Timeout(HANG_UP_S, False):
            sock.sendall(frontend.terminate())
            sock.shutdown(plain.SHUT_WR)
            while sock.recv(65536):
                pass
    except OSError as exc:  # it has hung up already
        log.debug("server was gone before Terminate: %s", exc)
