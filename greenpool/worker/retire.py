"""End server connections: say goodbye, wait until PostgreSQL has hung up, free the place.

The place stays taken until then, so that a pool's limit holds for PostgreSQL's backends too.
Law: nothing is said to a server that may be in the midst of a message, because Terminate's bytes
could complete it, and PostgreSQL would run what its client never finished asking. Such a server
only sees the end of the stream, which discards the unfinished message.
"""

from __future__ import annotations

import logging
import socket as plain

import gevent
from gevent import socket

from greenpool.protocol import frontend
from greenpool.records import Event, Reason
from greenpool.worker import cancel, openings
from greenpool.worker.state import Worker
from greenpool.worker.tls_socket import AnySocket, TlsSocket

log = logging.getLogger(__name__)

HANG_UP_S = 2.0
"""How long PostgreSQL may take to end a backend that was told to; it needs a millisecond."""

_BUSY = frozenset({Reason.REAPED, Reason.UNCLEAN, Reason.CANCEL_STUCK})

# It was retired by choice, from rest: all that was ever said to it was a whole message.
_AT_REST = frozenset(
    {Reason.IDLE_TIMEOUT, Reason.LIFETIME, Reason.STALE, Reason.SHUTDOWN, Reason.YIELDED}
    | {Reason.DATABASE_LIMIT}
)


def on_event(worker: Worker, event: Event) -> None:
    """Retire one server. Greenlet. Switches: yes.

    A backend that may still be running a query for nobody is cancelled first: it would notice
    the end only afterwards, and keep its locks until then.
    """
    reason = Reason(event.detail)
    entry, row = worker.pools.at(event.pool), worker.segment.slot_row(event.pool, event.slot)
    if entry is not None and row is not None:  # otherwise the pool is gone, and was told to be
        openings.log_closed(entry, row, reason)
    fd, tls = worker.engine.surrender(event.pool, event.slot)
    sock: AnySocket = socket.socket(fileno=fd) if fd >= 0 else None
    if tls is not None and reason in _AT_REST:
        sock = TlsSocket(sock, tls)
    try:
        if reason in _BUSY:
            cancel.deliver(worker, event.pool, event.slot)
        if sock is not None:
            hang_up(sock, frontend.terminate() if reason in _AT_REST else b"")
    finally:
        if sock is not None:
            sock.close()
        worker.engine.freed(event.pool, event.slot)


def hang_up(sock: AnySocket, last_words: bytes) -> None:
    """Say the last words, end the stream, wait for PostgreSQL to hang up; HANG_UP_S at most."""
    try:
        with gevent.Timeout(HANG_UP_S, False):
            if last_words:
                sock.sendall(last_words)
            sock.shutdown(plain.SHUT_WR)
            while sock.recv(65536):
                pass
    except OSError as exc:  # it has hung up already
        log.debug("server was gone before our goodbye: %s", exc)
