"""When PostgreSQL is asked for the functions that change sessions, and what the engine is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gevent
import pytest
from gevent import socket

from greenpool.config import PoolMode, SessionState
from greenpool.protocol import backend
from greenpool.protocol.errors import ErrorFields, Severity, SqlState
from greenpool.records import EventKind, SuspectFlags
from greenpool.worker import suspects
from greenpool.worker.pools import PoolEntry
from greenpool.worker.suspects_question import question_of_suspects
from tests.unit.worker.fakes import FakedWorker, answering, event, indices_of

READY = backend.ready_for_query()
ROWS = (
    backend.data_row(["word", "sets"])
    + backend.data_row(["word", "größe"])
    + backend.data_row(["setting", "app.x"])
    + backend.data_row(["hides", ""])
    + backend.command_complete("SELECT 4")
    + READY
)
TOLD = (7, SuspectFlags.HIDE, "größe\0sets".encode(), b",app.x")
PARAMETERS = {"server_version": "15.4 (Debian 15.4-1)"}


@pytest.fixture
def entry(worker: FakedWorker) -> PoolEntry:
    found = worker.pools.find("shop", "ada")
    assert found is not None
    worker.engine.is_list_known = False
    return found


def log_in(worker: FakedWorker, entry: PoolEntry, reply: bytes) -> bytes:
    """Let a server be asked that replies so; return what it heard."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(reply)
        theirs.shutdown(socket.SHUT_WR)
        suspects.at_login(worker, entry, ours, PARAMETERS)
        ours.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: theirs.recv(65536), b""))


def told(worker: FakedWorker, entry: PoolEntry) -> list[tuple[object, ...]]:
    return [call[1:] for call in worker.engine.named("tell_suspects") if call[0] == entry.index]


def configure(worker: FakedWorker, **settings: Any) -> PoolEntry:
    shop = worker.config.pools["shop"]
    ada = replace(shop.users["ada"], pool_mode=settings.pop("pool_mode", PoolMode.TRANSACTION))
    shop = replace(shop, users={**shop.users, "ada": ada}, **settings)
    config = replace(worker.config, pools={**worker.config.pools, "shop": shop})
    worker.pools.apply(config, indices_of(config))
    found = worker.pools.find("shop", "ada")
    assert found is not None
    return found


def test_first_server_is_asked_before_anybody_has_it(worker: FakedWorker, entry: PoolEntry):
    heard = log_in(worker, entry, ROWS)
    assert heard[5:-1].decode() == question_of_suspects(150000)
    assert told(worker, entry) == [TOLD]


def test_later_servers_are_not_asked(worker: FakedWorker, entry: PoolEntry):
    worker.engine.is_list_known = True
    assert log_in(worker, entry, b"") == b""


@pytest.mark.parametrize(
    "settings", [{"pool_mode": PoolMode.SESSION}, {"session_state": SessionState.OFF}]
)
def test_who_does_not_care_for_sessions_is_not_asked(worker: FakedWorker, settings: dict[str, Any]):
    worker.engine.is_list_known = False
    entry = configure(worker, **settings)
    assert log_in(worker, entry, b"") == b""
    suspects.tick(worker)
    asked = {call[0] for call in worker.engine.named("suspects_due")}
    assert asked
    assert entry.index not in asked


def test_refusal_leaves_the_server_usable(
    worker: FakedWorker, entry: PoolEntry, caplog: pytest.LogCaptureFixture
):
    error = ErrorFields.of(Severity.ERROR, SqlState.QUERY_CANCELED, "statement timeout")
    log_in(worker, entry, error.error_response() + READY)
    assert told(worker, entry) == []
    assert "statement timeout" in caplog.text


def test_login_that_takes_too_long_is_the_last_that_asks(
    worker: FakedWorker, entry: PoolEntry, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(suspects, "_LOGIN_DEADLINE_S", 0.01)
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TimeoutError):
        suspects.at_login(worker, entry, ours, PARAMETERS)
    assert log_in(worker, entry, b"") == b""


def test_event_asks_as_a_client_until_nothing_is_void(
    worker: FakedWorker, entry: PoolEntry, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(suspects, "SETTLE_S", 0)
    worker.engine.lists_due = 2
    worker.engine.on_serve = answering(READY, ROWS)
    for _ in range(2):  # the second one while it is being asked
        suspects.on_event(worker, event(EventKind.SUSPECTS, pool=entry.index))
    with gevent.Timeout(5):
        while entry.search.is_running:
            gevent.sleep(0)
    assert told(worker, entry) == [(7, SuspectFlags(0), b"", b""), TOLD]


def test_search_that_fails_is_not_the_last(
    worker: FakedWorker, entry: PoolEntry, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(suspects, "SETTLE_S", 0)
    error = ErrorFields.of(Severity.ERROR, SqlState.QUERY_CANCELED, "too late")
    worker.engine.on_serve = answering(error.error_response() + READY, ROWS)
    for _ in range(2):
        worker.engine.lists_due = 1
        suspects.on_event(worker, event(EventKind.SUSPECTS, pool=entry.index))
        with gevent.Timeout(5):
            while entry.search.is_running:
                gevent.sleep(0)
    assert told(worker, entry) == [TOLD]


def test_question_that_takes_long_is_asked_less_often(worker: FakedWorker, entry: PoolEntry):
    entry.search.took_s = 1.0
    suspects.on_event(worker, event(EventKind.SUSPECTS, pool=entry.index))
    assert worker.engine.named("suspects_due") == [(entry.index, 100.0)]


@pytest.mark.parametrize(("version", "has_bodies"), [("13.9", False), ("14.0", True), ("18", True)])
def test_bodies_that_old_servers_do_not_have_are_not_asked_for(
    worker: FakedWorker,
    entry: PoolEntry,
    version: str,
    has_bodies: bool,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setitem(PARAMETERS, "server_version", version)
    assert (b"prosqlbody" in log_in(worker, entry, ROWS)) is has_bodies


def test_question_says_nothing_that_makes_it_suspicious_itself():
    text = question_of_suspects(150000).lower().removeprefix("set local ")
    for word in ("set", "set_config", "pg_advisory_", "temp", "temporary", "hold", "pg_temp"):
        assert not any(token == word for token in text.replace("(", " ").split())
