"""The binding: names equal C's, values survive the crossing, failures become exceptions.

Everything here runs on the real engine, in one process with one worker.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from dataclasses import replace
from enum import IntEnum
from itertools import pairwise
from typing import Any

import pytest
from greenpool._engine import ffi, lib

from greenpool import records, rows
from greenpool.engine import Engine, io_uring_refusal, now_ns, reason_text, reason_words
from greenpool.errors import EngineError
from greenpool.login import Challenge, LoginPlan, Terms
from greenpool.records import (
    CancelTarget,
    ClientState,
    EngineIo,
    Event,
    EventKind,
    Haste,
    LoginMethod,
    NoteKind,
    PoolMode,
    Reason,
    Refusal,
    Result,
    SlotState,
    TimeKind,
    Visit,
)
from greenpool.segment import Segment, time_bounds_ns
from tests.unit.samples import POOL_SETTINGS

SETTINGS = replace(POOL_SETTINGS, size=3, min_size=0, statements_max=100)
READY = b"Z\0\0\0\x05I"
QUERY = b"Q\0\0\0\x0dselect 1\0"
ANSWER = b"C\0\0\0\x0dSELECT 1\0" + READY
TERMINATE = b"X\0\0\0\x04"


@pytest.fixture
def segment() -> Iterator[Segment]:
    segment = Segment.create(workers=1, pools_max=4, clients_max=5)
    segment.limits(3, 4)
    yield segment
    segment.close()


@pytest.fixture(params=EngineIo, ids=str)
def io(request: pytest.FixtureRequest) -> EngineIo:
    kind: EngineIo = request.param
    if kind is EngineIo.URING and (refusal := io_uring_refusal()):
        pytest.skip(f"io_uring: {os.strerror(refusal)}")
    return kind


@pytest.fixture
def engine(segment: Segment, io: EngineIo) -> Iterator[Engine]:
    engine = Engine(segment, 0, io)
    yield engine
    engine.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    theirs.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def events_of(engine: Engine, kind: EventKind) -> list[Event]:
    """Step until an event of that kind comes; a bounded number of times."""
    for _ in range(100):
        events = [event for event in engine.step() if event.kind is kind]
        if events:
            return events
        engine.sweep()
    raise AssertionError(f"no {kind.name} came")


def plan_for(pool: int) -> LoginPlan:
    """Plan to let a client in without a word."""
    return LoginPlan(Challenge(LoginMethod.NONE, "ada"), Terms(pool, 0, b"RESET ALL", b""))


def serve(engine: Engine, pool: int, theirs: socket.socket) -> int:
    client = engine.enter(False, "10.0.0.1:5")
    engine.login(client, plan_for(pool), theirs.fileno())
    return client


# ---- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("enum", "c_name", "prefix"),
    [
        (Result, "gp_result", "GP_"),
        (EngineIo, "gp_io_backend", "GP_IO_"),
        (PoolMode, "gp_pool_mode", "GP_MODE_"),
        (ClientState, "gp_client_state", "GP_CLIENT_"),
        (SlotState, "gp_slot_state", "GP_SLOT_"),
        (EventKind, "gp_event_kind", "GP_EVENT_"),
        (NoteKind, "gp_note_kind", "GP_NOTE_"),
        (TimeKind, "gp_time_kind", "GP_TIME_"),
        (Haste, "gp_haste", "GP_HASTE_"),
        (records.ErrorClass, "gp_error_class", "GP_ERROR_"),
        (Reason, "gp_reason", "GP_REASON_"),
        (LoginMethod, "gp_login_method", "GP_LOGIN_"),
        (Refusal, "gp_refusal", "GP_REFUSED_"),
        (Visit, "gp_visit", "GP_VISIT_"),
        (records.Ailment, "gp_ailment", "GP_AILS_"),
    ],
)
def test_enum_equals_the_one_in_c(enum: type[IntEnum], c_name: str, prefix: str) -> None:
    in_c = ffi.typeof(f"enum {c_name}").elements
    counts = {
        "GP_IO_BACKENDS",
        "GP_CLIENT_STATES",
        "GP_SLOT_STATES",
        "GP_NOTES",
        "GP_TIMES",
        "GP_HASTES",
        "GP_REFUSALS",
    }
    counts |= {"GP_REASONS", "GP_VISITS", "GP_ERROR_CLASSES"}
    expected = {number: name for number, name in in_c.items() if name not in counts}
    assert {int(member): prefix + member.name for member in enum} == expected


def test_longest_salt_is_the_one_in_c() -> None:
    assert lib.GP_SALT_BYTES == records.SALT_BYTES_MAX


@pytest.mark.parametrize(
    ("record", "c_name", "ours", "theirs"),
    [
        (records.Event, "gp_event", set(), set()),
        (records.PoolSettings, "gp_pool_settings", set(), set()),
        (records.DatabaseSettings, "gp_database_settings", set(), set()),
        (rows.PoolRow, "gp_pool_row", {"index"}, set()),
        (rows.SlotRow, "gp_slot_row", {"index"}, {"key_length"}),
        (rows.ClientRow, "gp_client_info", {"client"}, set()),
        (rows.WorkerRow, "gp_worker_row", {"index"}, set()),
        (rows.DatabaseRow, "gp_database_row", {"index"}, set()),
        (rows.Audit, "gp_audit", set(), set()),
        (rows.Change, "gp_change", set(), set()),
        (records.StepCounts, "gp_engine_counts", set(), set()),
    ],
)
def test_record_has_the_fields_of_the_struct(
    record: Any, c_name: str, ours: set[str], theirs: set[str]
) -> None:
    in_c = {name for name, _ in ffi.typeof(f"struct {c_name}").fields}
    assert set(record.__slots__) - ours == in_c - theirs


def test_every_reason_has_words() -> None:
    assert len({reason_text(reason) for reason in Reason}) == len(Reason)


def test_who_is_shut_out_is_told_as_by_postgresql() -> None:
    words = ("57P01", "terminating connection due to administrator command")
    assert reason_words(Reason.SHUTDOWN) == reason_words(Reason.KILLED) == words


def test_clock_goes_forward() -> None:
    assert now_ns() <= now_ns()


def test_bounds_of_times_grow_to_more_than_two_minutes() -> None:
    bounds = time_bounds_ns()
    assert bounds == sorted(set(bounds))
    assert bounds[-2] > 120 * 10**9
    assert all(b - a <= b / 16 for a, b in pairwise(bounds[:-1]) if a > 8192)


# ---- the segment -------------------------------------------------------------------------------


def test_pool_is_found_again_and_removed(segment: Segment) -> None:
    index = segment.define_pool("shop", "ada", SETTINGS)
    assert segment.define_pool("shop", "bob", SETTINGS) != index
    assert segment.define_pool("shop", "ada", SETTINGS) == index
    row = segment.pool_row(index)
    assert row is not None
    assert (row.database, row.user, row.settings) == ("shop", "ada", SETTINGS)
    assert len(segment.pool_rows()) == 2
    segment.remove_pool(index)
    assert [row.user for row in segment.pool_rows()] == ["bob"]


@pytest.mark.parametrize("name", ["", "x" * 64, "ü" * 32])
def test_pool_name_out_of_bounds_is_refused(segment: Segment, name: str) -> None:
    with pytest.raises(EngineError, match="1 to 63 bytes"):
        segment.define_pool(name, "ada", SETTINGS)
    assert segment.pool_rows() == []


def test_full_segment_refuses_a_pool(segment: Segment) -> None:
    for number in range(4):
        segment.define_pool("shop", f"user{number}", SETTINGS)
    with pytest.raises(EngineError, match="shop"):
        segment.define_pool("shop", "one-too-many", SETTINGS)


def test_rows_of_nothing_are_none(segment: Segment) -> None:
    assert segment.pool_row(0) is None
    assert segment.pool_row(4_000_000) is None
    assert segment.client_row(1) is None
    assert list(segment.client_rows()) == []


def test_worker_is_alive_once_its_engine_is_there(segment: Segment, io: EngineIo) -> None:
    assert segment.worker_rows()[0].alive == 0
    engine = Engine(segment, 0, io)
    row = segment.worker_rows()[0]
    assert (row.alive, row.pid, row.births, row.io_backend) == (1, os.getpid(), 1, io)
    engine.close()


def test_closing_twice_is_harmless(segment: Segment, io: EngineIo) -> None:
    engine = Engine(segment, 0, io)
    engine.close()
    engine.close()
    segment.close()
    segment.close()


# ---- clients -----------------------------------------------------------------------------------


def test_client_rows_hold_the_limit_and_the_reserve(segment: Segment, engine: Engine) -> None:
    clients = [engine.enter(False, "unix") for _ in range(3)]
    assert sorted(clients) == [1, 2, 3]
    assert engine.enter(False, "unix") == 0
    assert engine.enter(True, "unix") == 4
    engine.forget(2)
    assert segment.client_row(2) is None
    assert engine.enter(False, "unix") == 2


def test_rows_of_clients_pass_over_those_that_are_free(segment: Segment, engine: Engine) -> None:
    clients = [engine.enter(True, f"10.0.0.{number}:5") for number in range(5)]
    for gone in clients[0], clients[2], clients[4]:
        engine.forget(gone)
    assert [row.client for row in segment.client_rows()] == [clients[1], clients[3]]


def test_client_that_comes_while_rows_are_read_is_among_them(
    segment: Segment, engine: Engine
) -> None:
    first = engine.enter(False, "unix")
    rows = segment.client_rows()
    assert next(rows).client == first
    second = engine.enter(False, "unix")
    assert [row.client for row in rows] == [second]


def test_client_names_are_shown_and_kept(segment: Segment, engine: Engine) -> None:
    client = engine.enter(False, "10.0.0.1:5")
    engine.names(client, "ada", "shop", "till\0x")
    engine.names(client, None, None, "tüll")
    row = segment.client_row(client)
    assert row is not None
    assert (row.user, row.database, row.application) == ("ada", "shop", "tüll")
    assert (row.state, row.address) == (ClientState.LOGIN, "10.0.0.1:5")


@pytest.mark.parametrize("length", [4, 32])
def test_client_key_has_the_length_asked_for(engine: Engine, length: int) -> None:
    keys = {engine.client_key(engine.enter(False, "unix"), length) for _ in range(2)}
    assert {len(key) for key in keys} == {length}
    assert len(keys) == 2


def test_client_that_terminates_says_goodbye(
    segment: Segment, engine: Engine, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    client = serve(engine, segment.define_pool("shop", "ada", SETTINGS), theirs)
    ours.sendall(TERMINATE)
    event = events_of(engine, EventKind.GOODBYE)[0]
    assert (event.client, event.detail) == (client, Reason.CLIENT_TERMINATE)
    engine.forget(client)
    (row,) = segment.pool_rows()
    assert not row.client_logins  # greenpool's own clients are not counted
    assert not any(row.client_ends)


def test_clients_are_counted_as_they_come_and_go(
    segment: Segment, engine: Engine, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    pool = segment.define_pool("shop", "ada", SETTINGS)
    terms = Terms(pool, 0, b"RESET ALL", b"", key_bytes=4)
    plan = LoginPlan(Challenge(LoginMethod.TRUST, "ada"), terms)
    engine.login(engine.enter(False, "10.0.0.1:5"), plan, theirs.fileno())
    ours.sendall(TERMINATE)
    events_of(engine, EventKind.GOODBYE)
    (row,) = segment.pool_rows()
    assert (row.client_logins, row.client_ends[Reason.CLIENT_TERMINATE]) == (1, 1)


def test_refused_clients_are_counted_by_reason(segment: Segment, engine: Engine) -> None:
    engine.refused(Refusal.TLS)
    assert segment.worker_rows()[0].refusals == tuple(each is Refusal.TLS for each in Refusal)


def test_killed_client_is_told(
    segment: Segment, engine: Engine, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    client = serve(engine, segment.define_pool("shop", "ada", SETTINGS), theirs)
    assert engine.kill(client, Reason.KILLED, "57P01", "go away")
    assert events_of(engine, EventKind.GOODBYE)[0].detail == Reason.KILLED
    told = ours.recv(4096)
    assert told.startswith(b"E")
    assert b"C57P01\0Mgo away\0" in told
    assert not engine.kill(client, Reason.KILLED, "57P01", "again")


def test_early_bytes_are_read_first(
    segment: Segment, engine: Engine, pair: tuple[socket.socket, socket.socket]
) -> None:
    _, theirs = pair
    pool = segment.define_pool("shop", "ada", SETTINGS)
    client = engine.enter(False, "unix")
    engine.login(client, plan_for(pool), theirs.fileno(), early=TERMINATE)
    assert events_of(engine, EventKind.GOODBYE)[0].detail == Reason.CLIENT_TERMINATE


def test_serving_nobody_is_an_error(engine: Engine) -> None:
    with pytest.raises(EngineError):
        engine.login(3, plan_for(0), 0)


def test_drain_without_clients_is_over_at_once(engine: Engine) -> None:
    engine.drain()
    assert events_of(engine, EventKind.DRAINED)


# ---- servers -----------------------------------------------------------------------------------


def test_query_opens_a_server_and_is_answered(
    segment: Segment, engine: Engine, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    pool = segment.define_pool("shop", "ada", SETTINGS)
    serve(engine, pool, theirs)
    ours.sendall(QUERY)
    event = events_of(engine, EventKind.OPEN)[0]
    assert segment.slot_rows(pool)[0].state is SlotState.CONNECTING

    server, fd = socket.socketpair()
    server.settimeout(5)
    fd.setblocking(False)
    engine.server_opened(event.pool, event.slot, fd.detach(), None, 4711, b"k" * 32, 0, "db:5432")
    # The client had to wait for the next sweep.
    assert select.select([engine.fd()], [], [], 0)[0], "nobody calls the step"
    row = segment.slot_row(pool, event.slot)
    assert row is not None
    assert (row.state, row.backend_pid, row.address) == (SlotState.ACTIVE, 4711, "db:5432")
    assert row.key == b"k" * 32
    assert "kkk" not in repr(row)
    for _ in range(10):
        engine.step()
    assert server.recv(4096) == QUERY
    server.sendall(ANSWER)
    for _ in range(10):
        engine.step()
    assert ours.recv(4096) == ANSWER
    for kind in TimeKind:  # it has waited for the server to be opened
        times = segment.times(kind, pool)
        assert sum(times.counts) == 1
        assert times.sum_ns > 0
        assert times == segment.times(kind, worker=0)
        assert not any(segment.times(kind, pool + 1).counts)

    assert engine.retire_idle(pool, Reason.STALE) == 1
    event = events_of(engine, EventKind.RETIRE)[0]
    assert event.detail == Reason.STALE
    assert segment.pool_rows()[0].server_ends[Reason.STALE] == 1
    surrendered, tls = engine.surrender(event.pool, event.slot)
    assert tls is None
    os.close(surrendered)
    engine.freed(event.pool, event.slot)
    assert segment.slot_rows(pool) == []
    server.close()


def test_failed_login_frees_the_place_and_refusal_reaches_the_client(
    segment: Segment, engine: Engine, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    pool = segment.define_pool("shop", "ada", SETTINGS)
    serve(engine, pool, theirs)
    ours.sendall(QUERY)
    event = events_of(engine, EventKind.OPEN)[0]
    refusal = ("3D000", 'database "shop" does not exist')
    engine.server_failed(event.pool, event.slot, records.Ailment.POOL, *refusal)
    assert segment.slot_rows(pool) == []
    assert events_of(engine, EventKind.GOODBYE)[0].detail == Reason.LOGIN_FAILED
    assert b'C3D000\0Mdatabase "shop" does not exist\0' in ours.recv(4096)


# ---- cancel ------------------------------------------------------------------------------------


def test_cancel_of_nobody_says_so(engine: Engine) -> None:
    assert engine.cancel_start(1, b"1234") is Result.ENOENT


def test_cancel_with_a_wrong_key_is_like_nobody(segment: Segment, engine: Engine) -> None:
    client = engine.enter(False, "unix")
    key = engine.client_key(client, 4)
    wrong = bytes(each ^ 1 for each in key)
    assert engine.cancel_start(client, wrong) is Result.ENOENT
    assert not isinstance(engine.cancel_start(client, key), CancelTarget)


def test_counts_grow_with_steps(engine: Engine) -> None:
    before = engine.counts().steps
    engine.step()
    assert engine.counts().steps == before + 1


def test_known_query_is_answered_without_a_server(
    segment: Segment, engine: Engine, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    pool = segment.define_pool("app", "app", SETTINGS)
    engine.answer(pool, QUERY, ANSWER)
    serve(engine, pool, theirs)
    ours.send(QUERY[:7])
    engine.step()
    ours.send(QUERY[7:] + QUERY)
    engine.step()
    assert ours.recv(100) == 2 * ANSWER
    engine.answer(pool, b"", b"")
    ours.send(QUERY)
    assert [event.pool for event in events_of(engine, EventKind.OPEN)] == [pool]


def test_answer_for_a_pool_that_cannot_be_is_refused(engine: Engine) -> None:
    with pytest.raises(EngineError):
        engine.answer(4, QUERY, ANSWER)
