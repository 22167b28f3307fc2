"""Server connections: opened, refused, retired, cancelled; PostgreSQL is a script."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket

from greenpool.errors import EngineError
from greenpool.protocol import backend, frontend
from greenpool.protocol.errors import ErrorFields, Severity, SqlState
from greenpool.records import Ailment, EventKind, Reason
from greenpool.worker import cancel, dial, goodbye, retire, server_login
from greenpool.worker.pools import PoolEntry
from greenpool.worker.sockets import set_options
from tests.unit.worker.fakes import FakedWorker, client_row, event, make_config, make_worker

KEY_DATA = backend.backend_key_data(4711, b"key!")
GREETING = (
    backend.authentication_ok()
    + backend.parameter_status("server_version", "15.1")
    + KEY_DATA
    + backend.ready_for_query()
)
Script = Callable[[socket.socket], None]


class Server:
    """A listening socket; each connection is given to the script, in a greenlet of its own."""

    def __init__(self) -> None:
        self.script: Script = lambda sock: None
        self.heard: list[bytes] = []
        self._listener = socket.socket(socket.AF_INET)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self._greenlet = gevent.spawn(self._accept)

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            with sock:
                self.script(sock)

    def close(self) -> None:
        self._greenlet.kill()
        self._listener.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def worker(server: Server, tmp_path: Path) -> FakedWorker:
    return make_worker(make_config(tmp_path, port=server.port))


def entry_of(worker: FakedWorker, database: str = "shop", user: str = "ada") -> PoolEntry:
    entry = worker.pools.find(database, user)
    assert entry is not None
    return entry


def open_event(entry: PoolEntry, slot: int = 2):
    return event(EventKind.OPEN, pool=entry.index, slot=slot)


def assert_failed(
    worker: FakedWorker, entry: PoolEntry, ailment: Ailment, sqlstate: str = ""
) -> None:
    """Check that the place was given back once, and what was said to those who wait."""
    ((pool, slot, *said),) = worker.engine.named("server_failed")
    assert (pool, slot, *said[:2]) == (entry.index, 2, ailment, sqlstate)


class Row:
    def __init__(self, **fields: Any) -> None:
        what_is_logged = {"index": 0, "address": "", "opened_ns": 0, "xacts": 0, "backend_pid": 0}
        self.__dict__.update({"tls": "", **what_is_logged, **fields})


# ---- login -------------------------------------------------------------------------------------


def test_server_is_logged_in_and_given_to_the_engine(worker: FakedWorker, server: Server):
    def script(sock: socket.socket) -> None:
        server.heard.append(sock.recv(1000))
        sock.sendall(GREETING)

    server.script = script
    entry = entry_of(worker, "till")
    server_login.on_event(worker, open_event(entry))
    ((pool, slot, fd, _tls, pid, key, lifetime_ns, address),) = worker.engine.named("server_opened")
    os.close(fd)
    assert (pool, slot, pid, key) == (entry.index, 2, 4711, b"key!")
    assert address == f"127.0.0.1:{server.port}"
    lifetime_s = entry.user.server_lifetime_ms / 1000
    assert 0.8 * lifetime_s <= lifetime_ns / 1e9 <= 1.2 * lifetime_s
    assert entry.parameters == {"server_version": "15.1"}
    for word in (b"user\0ada\0", b"database\0till\0", b"work_mem\x005MB\0", b"till-servers\0"):
        assert word in server.heard[0]
    assert worker.engine.named("server_failed") == []


def test_failed_login_gives_its_place_back_without_a_wait(worker: FakedWorker, server: Server):
    """Sleeping over the back-off, four logins at dead servers kept all others from growing."""
    server.close()
    for count in range(1, 6):
        with gevent.Timeout(0.2):
            server_login.on_event(worker, open_event(entry_of(worker)))
        assert len(worker.engine.named("server_failed")) == count


def test_newest_protocol_is_asked_for(worker: FakedWorker, server: Server):
    def script(sock: socket.socket) -> None:
        server.heard.append(sock.recv(1000))
        sock.sendall(GREETING.replace(KEY_DATA, backend.backend_key_data(4711, b"k" * 32)))

    server.script = script
    server_login.on_event(worker, open_event(entry_of(worker)))
    ((_, _, fd, _, _, key, *_),) = worker.engine.named("server_opened")
    os.close(fd)
    assert server.heard[0][4:8] == b"\0\3\0\2"
    assert key == b"k" * 32


@pytest.mark.parametrize("code", [SqlState.FEATURE_NOT_SUPPORTED, SqlState.PROTOCOL_VIOLATION])
def test_server_that_cannot_negotiate_is_asked_in_3_0(
    worker: FakedWorker, server: Server, code: str
):
    refusal = ErrorFields.of(Severity.FATAL, code, "unsupported frontend protocol 3.2")

    def script(sock: socket.socket) -> None:
        server.heard.append(sock.recv(1000)[4:8])
        too_new = server.heard[-1] != b"\0\3\0\0"
        sock.sendall(refusal.error_response() if too_new else GREETING)

    server.script = script
    for _ in range(2):
        server_login.on_event(worker, open_event(entry_of(worker)))
    for _, _, fd, *_ in worker.engine.named("server_opened"):
        os.close(fd)
    assert server.heard == [b"\0\3\0\2", b"\0\3\0\0", b"\0\3\0\0"]
    assert worker.engine.named("server_failed") == []


def test_pool_without_keys_is_not_tried_for_nobody(worker: FakedWorker, server: Server):
    """min_pool_size had every worker that knew no keys fail once a second."""
    server.script = lambda sock: server.heard.append(sock.recv(1000))
    entry = entry_of(worker, user="dan")
    worker.segment.pools[entry.index] = Row(cl_waiting=0)
    server_login.on_event(worker, open_event(entry))
    assert worker.engine.named("server_failed") == [(entry.index, 2, Ailment.NOTHING)]
    assert server.heard == []


def test_engine_that_cannot_take_it_has_freed_the_place_itself(
    worker: FakedWorker, server: Server, monkeypatch: pytest.MonkeyPatch
):
    server.script = lambda sock: sock.sendall(GREETING)

    def refuse(*_: object) -> None:
        raise EngineError("full")

    monkeypatch.setattr(worker.engine, "server_opened", refuse, raising=False)
    server_login.on_event(worker, open_event(entry_of(worker)))
    assert worker.engine.named("server_failed") == []


def test_refusal_of_postgresql_is_passed_on(
    worker: FakedWorker, server: Server, caplog: pytest.LogCaptureFixture
):
    error = ErrorFields.of(Severity.FATAL, SqlState.INVALID_CATALOG_NAME, "no such database")
    server.script = lambda sock: sock.sendall(error.error_response())
    entry = entry_of(worker)
    worker.segment.pools[entry.index] = Row(sv_active=0, sv_idle=0)
    server_login.on_event(worker, open_event(entry))
    ((_, _, *said),) = worker.engine.named("server_failed")
    assert said == [Ailment.POOL, "3D000", "no such database"]
    assert "ada@shop: cannot open a server: no such database (3D000)" in caplog.text


def test_refusal_is_not_passed_on_while_other_servers_work(worker: FakedWorker, server: Server):
    error = ErrorFields.of(Severity.FATAL, SqlState.INVALID_CATALOG_NAME, "no such database")
    server.script = lambda sock: sock.sendall(error.error_response())
    entry = entry_of(worker)
    worker.segment.pools[entry.index] = Row(sv_active=1, sv_idle=0)
    server_login.on_event(worker, open_event(entry))
    assert_failed(worker, entry, Ailment.POOL)


def test_too_many_connections_may_pass(worker: FakedWorker, server: Server):
    error = ErrorFields.of(Severity.FATAL, SqlState.TOO_MANY_CONNECTIONS, "too many")
    server.script = lambda sock: sock.sendall(error.error_response())
    entry = entry_of(worker)
    server_login.on_event(worker, open_event(entry))
    assert_failed(worker, entry, Ailment.POOL)


@pytest.mark.parametrize(
    "script",
    [
        lambda sock: None,
        lambda sock: sock.sendall(
            ErrorFields.of(
                Severity.FATAL, SqlState.CANNOT_CONNECT_NOW, "starting up"
            ).error_response()
        ),
        lambda sock: sock.sendall(GREETING + b"N"),
    ],
)
def test_what_may_pass_lets_clients_wait(worker: FakedWorker, server: Server, script: Script):
    server.script = script
    entry = entry_of(worker)
    server_login.on_event(worker, open_event(entry))
    assert_failed(worker, entry, Ailment.SERVER)


def test_what_is_no_postgresql_is_told(worker: FakedWorker, server: Server):
    server.script = lambda sock: sock.sendall(b"SSH-2.0-OpenSSH\r\n")
    entry = entry_of(worker)
    worker.segment.pools[entry.index] = Row(sv_active=0, sv_idle=0)
    server_login.on_event(worker, open_event(entry))
    assert_failed(worker, entry, Ailment.POOL, "08P01")


def test_server_that_says_nothing_is_given_up(tmp_path: Path, server: Server):
    server.script = lambda sock: sock.recv(1000) and sock.recv(1000) and None
    worker = make_worker(make_config(tmp_path, port=server.port, without="connect_timeout: 1s"))
    entry = entry_of(worker)
    object.__setattr__(entry.pool, "connect_timeout_ms", 50)
    server_login.on_event(worker, open_event(entry))
    assert_failed(worker, entry, Ailment.SERVER)


def test_nobody_listening_is_a_failure_that_may_pass(
    worker: FakedWorker, server: Server, caplog: pytest.LogCaptureFixture
):
    server.close()
    entry = entry_of(worker)
    server_login.on_event(worker, open_event(entry))
    assert_failed(worker, entry, Ailment.SERVER)
    assert f'at "127.0.0.1:{server.port}" failed: Connection refused' in caplog.text


def test_place_of_a_pool_that_is_no_more_is_freed(worker: FakedWorker):
    server_login.on_event(worker, event(EventKind.OPEN, pool=99, slot=1))
    assert worker.engine.named("server_failed") == [(99, 1, Ailment.NOTHING)]


def test_killed_login_frees_its_place(worker: FakedWorker, server: Server):
    server.script = lambda sock: sock.recv(1000) and sock.recv(1000) and None
    entry = entry_of(worker)
    greenlet = gevent.spawn(server_login.on_event, worker, open_event(entry))
    gevent.sleep(0.01)
    greenlet.kill()
    assert worker.engine.named("server_failed") == [(entry.index, 2, Ailment.NOTHING)]


# ---- retire and cancel -------------------------------------------------------------------------


# Retired from rest, by choice; for every other reason it may be in the midst of a message.
AT_REST = {
    *(Reason.IDLE_TIMEOUT, Reason.LIFETIME, Reason.STALE, Reason.SHUTDOWN, Reason.YIELDED),
    Reason.DATABASE_LIMIT,
}


@pytest.mark.parametrize("reason", Reason)
def test_retired_server_is_waited_for_and_hears_terminate_only_at_rest(
    worker: FakedWorker, reason: Reason
):
    """Terminate's five bytes once completed a query whose client had died within it."""
    ours, theirs = socket.socketpair()
    worker.engine.surrender = lambda pool, slot: (theirs.detach(), None)
    retire_event = event(EventKind.RETIRE, pool=0, slot=3, detail=reason)
    greenlet = gevent.spawn(retire.on_event, worker, retire_event)
    if reason in AT_REST:
        assert ours.recv(100) == frontend.terminate()
    assert ours.recv(100) == b""
    assert worker.engine.named("freed") == []
    ours.close()
    greenlet.join(timeout=30)
    assert worker.engine.named("freed") == [(0, 3)]


def test_server_that_does_not_hang_up_is_given_up(
    worker: FakedWorker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retire, "HANG_UP_S", 0.02)
    ours, theirs = socket.socketpair()
    worker.engine.surrender = lambda pool, slot: (theirs.detach(), None)
    retire.on_event(worker, event(EventKind.RETIRE, pool=0, slot=3, detail=Reason.STALE))
    assert worker.engine.named("freed") == [(0, 3)]
    ours.close()


@pytest.mark.parametrize("reason", [Reason.REAPED, Reason.UNCLEAN])
def test_server_that_may_be_busy_is_cancelled_first(
    worker: FakedWorker, server: Server, reason: Reason
):
    server.script = lambda sock: server.heard.append(sock.recv(100))
    worker.engine.surrender = lambda pool, slot: (-1, None)
    worker.segment.slots[0, 3] = Row(backend_pid=7, key=b"abcd")
    retire.on_event(worker, event(EventKind.RETIRE, pool=0, slot=3, detail=reason))
    assert server.heard == [frontend.cancel_request(7, b"abcd")]
    assert worker.engine.named("freed") == [(0, 3)]


def test_cancel_waits_until_postgresql_has_closed(worker: FakedWorker, server: Server):
    def script(sock: socket.socket) -> None:
        server.heard.append(sock.recv(100))
        assert worker.engine.named("server_canceled") == []

    server.script = script
    worker.segment.slots[0, 3] = Row(backend_pid=7, key=b"abcd")
    cancel.on_event(worker, event(EventKind.CANCEL, pool=0, slot=3))
    assert server.heard == [frontend.cancel_request(7, b"abcd")]
    assert worker.engine.named("server_canceled") == [(0, 3)]


@pytest.mark.parametrize("key", [b"", b"abcd"])
def test_cancel_that_cannot_be_sent_still_lets_the_server_go(
    worker: FakedWorker, server: Server, key: bytes
):
    server.close()
    worker.segment.slots[0, 3] = Row(backend_pid=7, key=key)
    cancel.on_event(worker, event(EventKind.CANCEL, pool=0, slot=3))
    assert worker.engine.named("server_canceled") == [(0, 3)]


def test_unix_directory_means_the_socket_in_it(tmp_path: Path):
    config = make_config(tmp_path)
    pool = config.pools["shop"]
    object.__setattr__(pool, "server_host", str(tmp_path))
    path = f"{tmp_path}/.s.PGSQL.{pool.server_port}"
    assert dial.address_of(pool) == dial.unix_path(pool) == path
    with pytest.raises(dial.ConnectFailed, match="No such file"):
        dial.connect(pool, config.general)


# ---- goodbye -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [Reason.CLIENT_TERMINATE, Reason.WAIT_TIMEOUT])
def test_goodbye_closes_logs_and_gives_the_row_back(
    worker: FakedWorker, caplog: pytest.LogCaptureFixture, reason: Reason
):
    caplog.set_level("INFO")
    ours, theirs = socket.socketpair()
    worker.engine.fds[5] = theirs.detach()
    worker.segment.clients[5] = client_row(5)
    goodbye.on_event(worker, event(EventKind.GOODBYE, client=5, detail=reason))
    assert worker.engine.named("forget") == [(5,)]
    assert ours.recv(10) == b""
    ours.close()
    assert "client ada@shop 10.0.0.1:5: left: " in caplog.text
    assert "transactions 2, queries 3" in caplog.text
    assert worker.engine.client_count() == 0


def test_last_words_arrive_although_input_is_unread(worker: FakedWorker):
    listener = socket.socket(socket.AF_INET)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    ours = socket.create_connection(listener.getsockname())
    theirs, _ = listener.accept()
    listener.close()
    ours.sendall(b"x" * 1000)
    theirs.sendall(b"last words")
    worker.engine.fds[5] = theirs.detach()
    goodbye.on_event(worker, event(EventKind.GOODBYE, client=5, detail=Reason.KILLED))
    gevent.sleep(0.01)
    assert ours.recv(100) == b"last words"
    assert ours.recv(100) == b""
    ours.close()


def test_own_questions_are_not_logged(worker: FakedWorker, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    ours, theirs = socket.socketpair()
    worker.engine.fds[5] = theirs.detach()
    worker.engine.own.add(5)
    worker.segment.clients[5] = client_row(5)
    goodbye.on_event(worker, event(EventKind.GOODBYE, client=5, detail=Reason.CLIENT_EOF))
    ours.close()
    assert caplog.text == ""


# ---- socket options ----------------------------------------------------------------------------


def test_accepted_sockets_inherit_the_options_of_the_listener(tmp_path: Path):
    general = make_config(tmp_path).general
    listener = socket.socket(socket.AF_INET)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    set_options(listener, general)
    ours = socket.create_connection(listener.getsockname())
    theirs, _ = listener.accept()
    options = {
        "nodelay": theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
        "keepalive": theirs.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        "idle": theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
        "timeout": theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
    }
    for each in (listener, ours, theirs):
        each.close()
    assert options == {"nodelay": 1, "keepalive": 1, "idle": 5, "timeout": 60_000}
