"""Clients between accept and their session."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import gevent
from gevent import socket

from greenpool.protocol.errors import ClientError, Severity, SqlState
from greenpool.records import Guest, Refusal
from greenpool.worker.listener import Listeners
from tests.unit.worker.fakes import FakedWorker


def test_session_that_has_not_begun_is_dismissed_with_words(worker: FakedWorker):
    """Killed before its first instruction, it used to stay open and unheard."""
    listeners = Listeners(worker, [])
    ours, theirs = socket.socketpair()
    with ours, gevent.Timeout(5):
        worker.engine.guests.append(Guest(theirs.detach(), theirs.family, ""))
        listeners.on_guest()
        listeners.dismiss(ClientError(Severity.FATAL, SqlState.ADMIN_SHUTDOWN, "that is all"))
        assert b"that is all" in ours.recv(1000)
        ours.shutdown(socket.SHUT_WR)
        assert ours.recv(1000) == b""
        while len(listeners):
            gevent.sleep(0)


@contextlib.contextmanager
def silent_clients(
    worker: FakedWorker, listeners: Listeners, source: str, count: int
) -> Iterator[list[socket.socket]]:
    """Have clients of an address that say nothing."""
    with contextlib.ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as server:
        clients = []
        for _ in range(count):
            client = socket.create_connection(server.getsockname(), 5, (source, 0))
            clients.append(stack.enter_context(client))
            theirs, _ = server.accept()
            theirs.setblocking(False)
            guest = Guest(theirs.detach(), theirs.family, (source, client.getsockname()[1]))
            worker.engine.guests.append(guest)
            listeners.on_guest()
        yield clients


def test_address_that_says_nothing_takes_no_other_s_place(worker: FakedWorker):
    general = replace(worker.config.general, max_address_client_connections=1)
    worker.config = replace(worker.config, general=general)
    listeners = Listeners(worker, [])
    with silent_clients(worker, listeners, "127.0.0.1", 19) as clients:
        assert len(listeners) == 18  # twice what it may have, and the admin
        assert clients[-1].recv(1) == b""
        assert worker.engine.named("refused") == [(Refusal.ADDRESS,)]
        with silent_clients(worker, listeners, "127.0.0.2", 1):
            assert len(listeners) == 19
        with gevent.Timeout(5):
            clients[0].close()
            while len(listeners) > 17:
                gevent.sleep(0.001)
        with silent_clients(worker, listeners, "127.0.0.1", 1):
            assert len(listeners) == 18
    with gevent.Timeout(5):
        while len(listeners):
            gevent.sleep(0.001)


def test_address_whose_guests_say_nothing_takes_no_other_s_place(worker: FakedWorker):
    general = replace(worker.config.general, max_address_client_connections=1)
    worker.config = replace(worker.config, general=general)
    listeners = Listeners(worker, [])
    ours, theirs = socket.socketpair()
    with ours, gevent.Timeout(5):
        guest = Guest(theirs.detach(), theirs.family, ("127.0.0.1", 1), neighbours=18)
        worker.engine.guests.append(guest)
        listeners.on_guest()
        assert len(listeners) == 0
        assert ours.recv(1) == b""
        assert worker.engine.named("refused") == [(Refusal.ADDRESS,)]
