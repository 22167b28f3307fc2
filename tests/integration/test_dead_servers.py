"""Servers that end, or speak, while nobody uses them are no client's concern."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.crowd import Crowd
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

pytestmark = ANY_POSTGRESQL

POOL_SIZE = 8
ROUNDS = 10
# Idle for so long, a server is not about to get a query: the kill cannot meet one under way.
TERMINATE_IDLE = """
    select pg_terminate_backend(pid, 5000) from pg_stat_activity
    where usename = 'app' and state = 'idle' and state_change < now() - interval '200 ms'
"""


@pytest.fixture
def pooler(make_pooler: MakePooler) -> Pooler:
    return make_pooler(2, pools={"app": {"users": [user(pool_size=POOL_SIZE)]}}, **QUIET)


@pytest.fixture
def other_time_zone(pg: PostgreSQL) -> Iterator[None]:
    """Change a parameter that PostgreSQL reports to its clients, for the time of the test."""
    yield
    pg.sql("alter system reset timezone")
    pg.sql("select pg_reload_conf()")


def test_idle_servers_killed_under_load(pooler: Pooler, pg: PostgreSQL) -> None:
    with Crowd(pooler, "select pg_sleep(0.002)") as steady, Crowd(pooler, "select 1") as bursts:
        steady.join(2)
        bursts.gather(24, least=4)
        steady.start()
        killed = 0
        for _ in range(ROUNDS):
            bursts.start()
            bursts.wait_for_turns(3)
            bursts.stop()
            killed += wait_for(lambda: len(pg.sql(TERMINATE_IDLE)), "there are idle servers")
        bursts.start()
        bursts.wait_for_turns(3)
        bursts.stop()
        steady.stop()
        print(f"{killed} servers killed")
        assert not steady.complaints() + bursts.complaints()
        wait_for_balance(pooler, len(steady.members) + len(bursts.members))


def test_all_servers_killed_between_two_queries(pooler: Pooler, pg: PostgreSQL) -> None:
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login()
        backends = set()
        for _ in range(10):
            backends.add(wire.rows("select pg_backend_pid()")[0][0])
            wait_for(lambda: not _busy(pg), "the server is idle")
            assert pg.terminate("app")
        assert len(backends) == 10


def test_killed_server_in_a_transaction_is_reported_once(pooler: Pooler, pg: PostgreSQL) -> None:
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login()
        wire.query("begin")
        wire.query("select 1")
        assert pg.terminate("app")
        (error,) = wire.read_to_end()
        assert (error.fields["S"], error.fields["C"]) == ("FATAL", "57P01")
    wait_for_balance(pooler, 0)


def test_parameters_reported_to_idle_servers(
    pooler: Pooler, pg: PostgreSQL, other_time_zone: None
) -> None:
    with Crowd(pooler, "select 1") as crowd:
        crowd.gather(24, least=4)
        crowd.start()
        for zone in ("Europe/Paris", "Asia/Tokyo", "UTC") * 3:
            pg.sql(f"alter system set timezone = '{zone}'")
            pg.sql("select pg_reload_conf()")
            crowd.wait_for_turns(20)
        crowd.stop()
        assert not crowd.complaints()
    wait_for_balance(pooler, 0)


def _busy(pg: PostgreSQL) -> bool:
    return any(each.state != "idle" for each in pg.backends("app"))
