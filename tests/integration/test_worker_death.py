"""A worker is killed: its clients are gone, and nobody else notices."""

from __future__ import annotations

import os
import signal
import time
from functools import partial

import psycopg
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness import messages
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.crowd import Crowd
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

pytestmark = ANY_POSTGRESQL

KILLS = 10  # with each version of PostgreSQL
POOL_SIZE = 6
CLIENTS = 24
LEAST = 6
LOCK = 4711
# A worker that dies within a second of its start is followed ever later (master/slot.py).
GROWN_UP_S = 1.05


@pytest.fixture
def pooler(make_pooler: MakePooler) -> Pooler:
    return make_pooler(2, pools={"app": {"users": [user(pool_size=POOL_SIZE)]}}, **QUIET)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_kills_under_load_are_noticed_by_nobody_else(pooler: Pooler, pg: PostgreSQL) -> None:
    with Crowd(pooler, "begin; select pg_sleep(0.002); commit") as crowd:
        crowd.gather(CLIENTS, least=LEAST)
        crowd.start()
        for kill in range(KILLS):
            _kill_one(pooler, pg, crowd, worker=kill % 2)
            crowd.gather(CLIENTS, least=LEAST)
            crowd.wait_for_turns(3)
            wait_for(lambda: len(pg.backends("app")) == POOL_SIZE, "the pool is at full strength")
        crowd.stop()
        assert not crowd.complaints()
        wait_for_balance(pooler, len(crowd.members))


@pytest.mark.parametrize("workers", [1, 2])
def test_backend_in_a_long_query_ends_with_its_worker(
    make_pooler: MakePooler, pg: PostgreSQL, workers: int
) -> None:
    pooler = make_pooler(workers)
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login()
        wire.query("begin")
        backend = _lock(wire)
        wire.send(messages.query("select pg_sleep(100)"))
        wait_for(lambda: _is_active(pg, backend), "pg_sleep runs")
        _kill(pooler, _worker_of(pooler, wire))
        assert not wire.read_to_end()
        _expect_gone(pg, {backend})
    wait_for(lambda: _can_query(pooler), "greenpool serves again")
    wait_for_balance(pooler, 0)


def test_waiting_clients_of_the_other_worker_are_served(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    """The killed worker held all servers: who waits elsewhere gets new ones at once."""
    pools = {"app": {"users": [user(pool_size=2)]}}
    pooler = make_pooler(2, pools=pools, query_wait_timeout="20s", **QUIET)
    with Crowd(pooler, "select 1") as crowd:
        crowd.gather(16, least=2)
        holders = [_wire_on(pooler, 0) for _ in range(2)]
        for each in holders:
            each.query("begin")
            each.query("select 1")
        crowd.start()
        wait_for(lambda: _waiting(pooler, 1) >= 2, "clients of the other worker wait")
        pid = _pid(pooler, 0)
        _kill(pooler, 0)
        wait_for(lambda: _pid(pooler, 0) != pid, "its clients are nobody's")
        crowd.wait_for_losses()
        crowd.dismiss_gone()
        assert len(crowd.members) >= 2
        crowd.wait_for_turns(1)
        crowd.stop()
        assert not crowd.complaints()
        for each in holders:
            each.sock.close()


def test_all_workers_die_at_once(pooler: Pooler, pg: PostgreSQL) -> None:
    """Nobody is left who holds a descriptor: the places of the servers are free all the same."""
    with Crowd(pooler, "begin; select pg_sleep(0.002); commit") as crowd:
        crowd.gather(CLIENTS, least=LEAST)
        crowd.start()
        for _ in range(3):
            crowd.wait_for_turns(3)
            pids = [_pid(pooler, worker) for worker in range(2)]
            before = {each.pid for each in pg.backends("app")}
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            _expect_gone(pg, before)
            wait_for(lambda: all(each.is_gone for each in crowd.members), "all are disconnected")
            assert not any(each.errors for each in crowd.dismiss_gone())
            wait_for(partial(_have_successors, pooler, pids), "both have successors")
            crowd.gather(CLIENTS, least=LEAST)
            wait_for(lambda: len(pg.backends("app")) == POOL_SIZE, "the pool is at full strength")
        crowd.stop()
        assert not crowd.complaints()
        wait_for_balance(pooler, len(crowd.members))


def test_worker_without_clients_may_die_too(pooler: Pooler) -> None:
    with pooler.connect() as connection:
        connection.execute("select 1")
        worker = {row["worker"] for row in pooler.admin("show clients") if row["user"] == "app"}
        idle = ({0, 1} - worker).pop()
        pid = _pid(pooler, idle)
        _kill(pooler, idle)
        wait_for(lambda: _pid(pooler, idle) not in (0, pid), "another worker has its place")
        assert connection.execute("select 2").fetchone() == (2,)
    wait_for_balance(pooler, 0)


def _kill_one(pooler: Pooler, pg: PostgreSQL, crowd: Crowd, worker: int) -> None:
    """Kill a worker of which one client holds a lock and another sleeps in PostgreSQL."""
    with _wire_on(pooler, worker) as locking, _wire_on(pooler, worker) as sleeping:
        locking.query("begin")
        backends = {_lock(locking)}
        sleeping.query("begin")
        backends.add(_backend(sleeping))
        sleeping.send(messages.query("select pg_sleep(100)"))
        moved_before, spared = _moved_out(pooler, 1 - worker), crowd.of_worker(1 - worker)
        _kill(pooler, worker)
        _expect_gone(pg, backends)
        assert not locking.read_to_end()
        assert not sleeping.read_to_end()
    crowd.wait_for_losses()
    victims = crowd.dismiss_gone()
    moved = _moved_out(pooler, 1 - worker) - moved_before  # to the other, which took them along
    assert victims
    assert len([each for each in spared if each in victims]) <= moved
    assert not any(each.errors for each in victims)
    assert not crowd.complaints(), f"after the death of worker {worker}: {crowd.complaints()}"


def _kill(pooler: Pooler, worker: int) -> None:
    """Kill a worker once it is old enough to be replaced at once."""
    pid = _pid(pooler, worker)
    wait_for(lambda: _age_s(pid) > GROWN_UP_S, "the worker is grown up")
    os.kill(pid, signal.SIGKILL)


def _age_s(pid: int) -> float:
    started_ticks = int(_stat(pid).rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started_ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read()


def _pid(pooler: Pooler, worker: int) -> int:
    """Return the pid of a worker, 0 while nobody has its place."""
    rows = pooler.admin("show workers")
    return next(
        (row["pid"] for row in rows if row["worker"] == worker and row["state"] == "alive"), 0
    )


def _have_successors(pooler: Pooler, pids: list[int]) -> bool:
    try:
        return all(_pid(pooler, worker) not in (0, pid) for worker, pid in enumerate(pids))
    except psycopg.OperationalError:  # accepted by one that was killed
        return False


def _wire_on(pooler: Pooler, worker: int) -> Wire:
    """Log in until one client is served by that worker; the others leave again."""
    passed: list[Wire] = []
    try:
        while len(passed) < 200:
            wire = Wire.connect(pooler.host, pooler.port)
            wire.login()
            if _worker_of(pooler, wire) == worker:
                return wire
            passed.append(wire)
    finally:
        for each in passed:
            each.sock.close()
    raise AssertionError(f"worker {worker} gets no clients")


def _worker_of(pooler: Pooler, wire: Wire) -> int:
    number = int.from_bytes(wire.backend_key[:4], "big")
    found: int = next(row["worker"] for row in pooler.admin("show clients") if row["id"] == number)
    return found


def _moved_out(pooler: Pooler, worker: int) -> int:
    rows = pooler.admin("show workers")
    moved: int = next(row["moved_out"] for row in rows if row["worker"] == worker)
    return moved


def _waiting(pooler: Pooler, worker: int) -> int:
    rows = pooler.admin("show clients")
    return sum(row["worker"] == worker and row["state"] == "waiting" for row in rows)


def _lock(wire: Wire) -> int:
    """Take the lock for the transaction; return the backend's pid."""
    wire.rows(f"select pg_advisory_xact_lock({LOCK})")
    return _backend(wire)


def _backend(wire: Wire) -> int:
    value = wire.rows("select pg_backend_pid()")[0][0]
    assert value is not None
    return int(value)


def _is_active(pg: PostgreSQL, pid: int) -> bool:
    return any(each.pid == pid and each.state == "active" for each in pg.backends())


def _expect_gone(pg: PostgreSQL, pids: set[int]) -> None:
    """Expect backends, and their lock, to end long before their queries would."""
    with pg.connect() as connection:

        def gone() -> bool:
            query = (
                "select (select count(*) from pg_stat_activity where pid = any(%s)) + "
                "(select count(*) from pg_locks where locktype = 'advisory')"
            )
            return connection.execute(query, [list(pids)]).fetchone() == (0,)

        wait_for(gone, f"backends {pids} and their locks are gone")


def _can_query(pooler: Pooler) -> bool:
    return pooler.psql("select 1").stdout == "1\n"
