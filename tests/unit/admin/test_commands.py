"""What commands do to the segment, when they are over, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from greenpool.admin.result import Pending
from greenpool.protocol.errors import ClientError
from greenpool.records import ClientState, Hold, SlotState
from tests.unit.admin.samples import Bench, client, pool, slot, worker


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.segment.pools = [pool(0, "app", "alice"), pool(1, "app", "bob"), pool(2, "logs")]
    bench.segment.slots = {}
    bench.segment.clients = []
    return bench


def _say(bench: Bench, sql: str) -> Pending:
    result = bench.execute(sql)
    assert (list(result.rows), result.tag) == ([], sql.split()[0].upper())
    return result.is_done


def _held(bench: Bench) -> list[Hold]:
    return [bench.segment.held(row.index) for row in bench.segment.pools]


@pytest.mark.parametrize(
    ("target", "held"),
    [
        ("", [1, 1, 1]),
        ("app", [1, 1, 0]),
        ('"app"', [1, 1, 0]),
        ("app user=alice", [1, 0, 0]),
        ("user = 'alice'", [1, 0, 1]),
    ],
)
def test_pause_and_resume_hold_what_is_meant(bench: Bench, target: str, held: list[int]) -> None:
    assert _say(bench, f"PAUSE {target}")()
    assert _held(bench) == held
    assert _say(bench, f"RESUME {target}")()
    assert _held(bench) == [0, 0, 0]


@pytest.mark.parametrize(("verb", "before", "after"), [("hold", 0, 1), ("unhold", 1, 0)])
def test_pool_that_a_reload_makes_meanwhile_is_meant_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, verb: str, before: int, after: int
) -> None:
    bench.segment.pools = [pool(0, "app", "alice", held=before)]
    say, comes = getattr(bench.segment, verb), pool(1, "logs", held=before)

    def overtaken(index: int, bits: Hold) -> None:
        if comes.index not in {row.index for row in bench.segment.pools}:
            bench.segment.pools = [*bench.segment.pools, comes]
        say(index, bits)

    monkeypatch.setattr(bench.segment, verb, overtaken)
    _say(bench, "PAUSE" if verb == "hold" else "RESUME")
    assert _held(bench) == [after, after]


def test_pause_is_over_when_no_server_is_left(bench: Bench) -> None:
    bench.segment.slots = {1: [slot(0, SlotState.CLOSING)], 2: [slot(0, SlotState.IDLE)]}
    is_done = _say(bench, "pause app")
    assert not is_done()
    bench.segment.slots[1] = []
    assert is_done()


def test_pause_that_was_resumed_is_an_error(bench: Bench) -> None:
    bench.segment.slots = {0: [slot(0, SlotState.ACTIVE)]}
    is_done = _say(bench, "PAUSE app")
    _say(bench, "RESUME app user=bob")
    with pytest.raises(ClientError, match="RESUME has ended the pause"):
        is_done()


def test_pause_is_not_understood_twice_by_describing_it(bench: Bench) -> None:
    bench.plan("PAUSE")
    assert _held(bench) == [0, 0, 0]


def test_disable_leaves_a_pause_alone(bench: Bench) -> None:
    _say(bench, "PAUSE app")
    _say(bench, "DISABLE app")
    assert _held(bench) == [3, 3, 0]
    _say(bench, "ENABLE app user=bob")
    assert _held(bench) == [3, 1, 0]


def test_wait_close_waits_for_stale_servers(bench: Bench) -> None:
    fresh, stale = slot(0, SlotState.IDLE), slot(1, SlotState.ACTIVE, stale=1)
    bench.segment.slots = {0: [fresh, stale]}
    _say(bench, "RECONNECT app")
    assert bench.segment.said == [("reconnect", 0), ("reconnect", 1)]
    is_done = _say(bench, "WAIT_CLOSE")
    assert not is_done()
    bench.segment.slots = {0: [fresh]}
    assert is_done()


def test_kill_is_over_when_clients_and_servers_are_gone(bench: Bench) -> None:
    ours = client(5, ClientState.ACTIVE, pool=1, connected_ns=7)
    bench.segment.clients = [ours, client(6, ClientState.IDLE, pool=3)]
    is_done = _say(bench, "KILL app")
    assert bench.segment.said == [("kill", 0), ("kill", 1)]
    assert not is_done()
    bench.segment.clients = [client(5, ClientState.IDLE, pool=1, connected_ns=8)]  # another one
    assert is_done()


def test_kill_client_names_one_connection(bench: Bench) -> None:
    bench.segment.clients = [client(5, ClientState.ACTIVE, pool=1, connected_ns=7)]
    is_done = _say(bench, "KILL_CLIENT 5")
    assert bench.segment.said == [("doom", 5)]
    assert not is_done()
    bench.segment.clients = [client(5, ClientState.CLOSING, pool=1, connected_ns=7)]
    assert is_done()


@pytest.mark.parametrize(
    ("sql", "sqlstate", "words"),
    [
        ("PAUSE nowhere", "3D000", "no such database: nowhere"),
        ("KILL user=nobody", "42704", "no such user: nobody"),
        ("PAUSE pgbouncer", "55000", "cannot pause admin db: pgbouncer"),
        ("WAIT_CLOSE greenpool", "55000", "cannot wait in admin db: greenpool"),
        ("RESUME", "55000", "pooler is not paused/suspended"),
        ("RESUME app", "55000", "database app is not paused"),
        ("DISABLE", "42601", "a database is required"),
        ("ENABLE user=alice", "42601", "a database is required"),
        ("PAUSE app logs", "42601", 'syntax error at or near "logs"'),
        ("PAUSE my-app", "42601", 'syntax error at or near "-"'),
        ("PAUSE 1", "42601", 'syntax error at or near "1"'),
        ("PAUSE user=1", "42601", "a user is required"),
        ("KILL_CLIENT", "42601", "invalid client pointer supplied"),
        ("KILL_CLIENT c5", "42601", "invalid client pointer supplied"),
        ("KILL_CLIENT 1.5", "42601", "invalid client pointer supplied"),
        ("KILL_CLIENT 99999999999999999999999", "42704", "client not found"),
        ("SUSPEND app", "42601", 'syntax error at or near "app"'),
    ],
)
def test_mistakes_are_told_and_do_nothing(
    bench: Bench, sql: str, sqlstate: str, words: str
) -> None:
    with pytest.raises(ClientError, match=words) as caught:
        bench.execute(sql)
    assert (caught.value.severity, caught.value.fields.sqlstate) == ("ERROR", sqlstate)
    assert not bench.segment.said
    assert _held(bench) == [0, 0, 0]


def test_what_is_paused_altogether_cannot_be_paused_again(bench: Bench) -> None:
    _say(bench, "PAUSE")
    with pytest.raises(ClientError, match="already suspended/paused"):
        bench.execute("PAUSE")
    assert _say(bench, "PAUSE app")()


def test_suspend_waits_until_every_worker_is_still(bench: Bench) -> None:
    workers = [worker(0), worker(1), worker(2, alive=0)]
    bench.segment.workers = workers
    is_done = _say(bench, "SUSPEND")
    assert bench.segment.suspended
    assert not is_done()
    bench.segment.workers = [replace(workers[0], still=1), *workers[1:]]
    assert not is_done()
    bench.segment.workers = [replace(each, still=1) for each in workers[:2]]
    assert is_done()
    for again in ("SUSPEND", "PAUSE"):
        with pytest.raises(ClientError, match="already suspended/paused"):
            bench.execute(again)


def test_resume_ends_a_suspension_and_who_waits_for_it(bench: Bench) -> None:
    bench.segment.workers = [worker(0)]
    _say(bench, "PAUSE app")
    is_done = _say(bench, "SUSPEND")
    with pytest.raises(ClientError, match="database logs is not paused"):
        bench.execute("RESUME logs")
    assert bench.segment.suspended
    assert _say(bench, "RESUME")()
    assert not bench.segment.suspended
    assert _held(bench) == [0, 0, 0]
    with pytest.raises(ClientError, match="RESUME has ended the suspension"):
        is_done()
