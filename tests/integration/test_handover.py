"""A worker gives all it has to another and ends: nobody is disconnected, no backend is replaced."""

from __future__ import annotations

import os
import signal

import psycopg
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.crowd import Crowd
from tests.integration.harness.openings import everything_open, one
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

pytestmark = ANY_POSTGRESQL

POOL_SIZE = 6


@pytest.fixture(params=["epoll", "io_uring"])
def pooler(
    make_pooler: MakePooler, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Pooler:
    """Start a greenpool whose workers hand over at SIGUSR1."""
    monkeypatch.setenv("GREENPOOL_REHEARSAL_MS", "0")
    pools = {"app": {"users": [user(pool_size=POOL_SIZE)]}}
    return make_pooler(2, pools=pools, io_backend=request.param, **QUIET)


def test_crowd_under_load_notices_nothing(pooler: Pooler, pg: PostgreSQL) -> None:
    with Crowd(pooler, "begin; select pg_sleep(0.001); commit") as crowd:
        crowd.gather(24, least=6)
        crowd.start()
        crowd.wait_for_turns(5)
        wait_for(lambda: len(pg.backends("app")) == POOL_SIZE, "the pool is at full strength")
        backends = {each.pid for each in pg.backends("app")}
        for worker in (0, 1, 0, 1):
            _hand_over(pooler, worker)
            crowd.wait_for_turns(5)
        crowd.stop()
        assert not crowd.complaints()
        assert not any(each.is_gone or each.errors for each in crowd.members)
        assert {each.pid for each in pg.backends("app")} == backends
        wait_for_balance(pooler, len(crowd.members))


def test_everything_open_goes_on(pooler: Pooler) -> None:
    with everything_open(pooler):
        for worker in (0, 1):
            _hand_over(pooler, worker)


def test_idle_servers_stay_and_keep_their_statements(pooler: Pooler, pg: PostgreSQL) -> None:
    with pooler.connect(prepare_threshold=0) as connection:
        connection.execute("select %s::int", [1])
        before = {each.pid for each in pg.backends("app")}
        for worker in (0, 1):
            _hand_over(pooler, worker)
        query = "select count(*) from pg_prepared_statements where statement like '%%::int'"
        assert one(connection, "select %s::int", [2]) == 2
        assert one(connection, query) >= 1
        # One more may be there: greenpool asks PostgreSQL for itself now and then.
        assert before <= {each.pid for each in pg.backends("app")}


def test_the_console_is_told(pooler: Pooler) -> None:
    with pooler.connect() as connection:
        wires = [_console(pooler) for _ in range(4)]
        for worker in (0, 1):
            _hand_over(pooler, worker)
        for each in wires:
            last = each.read_to_end()[-1]
            assert b"57P01" in last.body
            each.sock.close()
        assert one(connection, "select 1") == 1


def _console(pooler: Pooler) -> Wire:
    wire = Wire.connect(pooler.host, pooler.port)
    wire.login(user="admin", database="greenpool", password="admin-secret")
    return wire


def _hand_over(pooler: Pooler, worker: int) -> None:
    """Have a worker hand over, and wait for its successor, which gets clients only later."""
    pid = _pid(pooler, worker)
    os.kill(pid, signal.SIGUSR1)
    wait_for(lambda: _pid(pooler, worker) not in (0, pid), "the worker has ended")


def _pid(pooler: Pooler, worker: int) -> int:
    """Return the pid of a worker; 0 while nobody has its place, or nobody says so."""
    try:
        rows = pooler.admin("show workers")
    except psycopg.OperationalError:  # served by the one that ends
        return 0
    return next((r["pid"] for r in rows if r["worker"] == worker and r["state"] == "alive"), 0)
