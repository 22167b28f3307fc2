"""Clients between accept and their session."""

from __future__ import annotations

import gevent
from gevent import socket

from greenpool.protocol.errors import ClientError, Severity, SqlState
from greenpool.records import Event, EventKind
from greenpool.worker.listener import Listeners
from tests.unit.worker.fakes import FakedWorker


def test_session_that_has_not_begun_is_dismissed_with_words(worker: FakedWorker):
    """Killed before its first instruction, it used to stay open and unheard."""
    listeners = Listeners(worker, [])
    ours, theirs = socket.socketpair()
    with ours, gevent.Timeout(5):
        listeners.adopt(Event(EventKind.ACCEPTED, 0, 0, 0, theirs.detach()))
        listeners.dismiss(ClientError(Severity.FATAL, SqlState.ADMIN_SHUTDOWN, "that is all"))
        assert b"that is all" in ours.recv(1000)
        ours.shutdown(socket.SHUT_WR)
        assert ours.recv(1000) == b""
        while len(listeners):
            gevent.sleep(0)
