"""How many servers a pool keeps, and for how long."""

from __future__ import annotations

from functools import partial

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.crowd import Crowd
from tests.integration.harness.metrics import scrape
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.processes import frozen
from tests.integration.harness.sampler import backends_sampled
from tests.integration.harness.waiting import wait_for

pytestmark = ANY_POSTGRESQL


def test_min_pool_size_is_kept(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    users = [user(pool_size=6, min_pool_size=3)]
    pooler = make_pooler(2, pools={"app": {"users": users}}, idle_timeout="300ms", **QUIET)
    wait_for(lambda: len(_pids(pg)) == 3, "opened without a client")
    with Crowd(pooler, "select pg_sleep(0.02)") as crowd:
        crowd.join(12)
        crowd.start()
        wait_for(lambda: len(_pids(pg)) == 6, "more clients, more servers")
        crowd.stop()
    wait_for(lambda: len(_pids(pg)) == 3, "idle ones go, down to the minimum")
    pg.terminate("app")
    wait_for(lambda: len(_pids(pg)) == 3, "killed ones are replaced")
    wait_for_balance(pooler, 0)


def test_idle_timeout_closes_idle_servers(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = make_pooler(2, idle_timeout="300ms", **QUIET)
    with Crowd(pooler, "select pg_sleep(0.01)") as crowd:
        crowd.join(8)
        crowd.start()
        wait_for(lambda: len(_pids(pg)) > 1, "several servers are used")
        crowd.stop()
        wait_for(lambda: not _pids(pg), "nobody needs any")
        crowd.start()
        crowd.wait_for_turns(1)
        crowd.stop()
        assert not crowd.complaints()


def test_server_lifetime_replaces_servers_unseen(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    users = [user(pool_size=3, server_lifetime="400ms")]
    pooler = make_pooler(2, pools={"app": {"users": users}}, **QUIET)
    with Crowd(pooler, "select pg_sleep(0.002)") as crowd:
        crowd.gather(16, least=2)
        with backends_sampled(pg) as backends:
            crowd.start()
            seen: set[int] = set()
            wait_for(lambda: len(_collect(pg, seen)) >= 9, "three generations of servers")
            crowd.stop()
        assert backends.most <= 3
        assert not crowd.complaints()
        wait_for_balance(pooler, len(crowd.members))


def test_server_is_replaced_before_its_time(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    """A client that is alone waits for the first server, and for none of those that follow."""
    users = [user(pool_size=3, server_lifetime="4s")]
    pools = {"app": {"users": users, "session_state": "off"}}  # nobody else asks anything
    pooler = make_pooler(1, pools=pools, web=True, **QUIET)
    with Crowd(pooler, "select 1") as crowd:
        crowd.join(1)
        crowd.start()
        crowd.wait_for_turns(1)
        waits = _waits(pooler)
        seen: set[int] = set()
        wait_for(lambda: len(_collect(pg, seen)) >= 4, "four servers, one behind the other", 60)
        assert _waits(pooler) == waits
        crowd.stop()
        assert not crowd.complaints()


def test_idle_servers_go_few_at_a_time(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    limits = {"retain_connections_time": "1h", "retain_connections_max": 2}
    pooler = make_pooler(2, idle_timeout="300ms", **limits, **QUIET)
    with Crowd(pooler, "select pg_sleep(0.05)") as crowd:
        crowd.join(10)
        crowd.start()
        wait_for(lambda: len(_pids(pg)) >= 6, "several servers are used")
        crowd.stop()
        before = len(_pids(pg))
        wait_for(lambda: len(_pids(pg)) == before - 2, "two have gone")
        pooler.sleep(2.5)  # each worker has looked twice
        assert len(_pids(pg)) == before - 2
        assert pooler.reload(retain_connections_max=0).returncode == 0
        wait_for(lambda: not _pids(pg), "all have gone")


def test_server_that_has_rested_is_checked_before_use(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    """One that does not answer is closed; the client gets another, and notices nothing."""
    pools = {"app": {"users": [user(pool_size=1)]}}
    limits = {"connect_timeout": "2s", "query_wait_timeout": "1m"}
    pooler = make_pooler(1, pools=pools, server_idle_check_timeout="300ms", **limits)
    with pooler.connect() as client:
        client.execute("set work_mem = '77kB'")
        (pid,) = _pids(pg)
        pooler.sleep(0.5)
        assert client.execute("select pg_backend_pid()").fetchone() == (pid,)
        with frozen(pid):
            pooler.sleep(0.5)
            assert client.execute("show work_mem").fetchone() == ("77kB",)
            (other,) = client.execute("select pg_backend_pid()").fetchone() or ()
            assert other != pid
    wait_for(lambda: _pids(pg) == {other}, "the one that hung is gone")
    wait_for_balance(pooler, 0)


def test_pool_is_resized_under_load(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = make_pooler(2, pools={"app": {"users": [user(pool_size=6)]}}, **QUIET)
    with Crowd(pooler, "select pg_sleep(0.005)") as crowd:
        crowd.gather(24, least=4)
        crowd.start()
        for size in (2, 8, 1, 4):
            _resize(pooler, size)
            wait_for(partial(_has, pg, size), f"{size} servers are left")
            with backends_sampled(pg) as backends:
                crowd.wait_for_turns(3)
            assert backends.most == size
        crowd.stop()
        assert not crowd.complaints()
        wait_for_balance(pooler, len(crowd.members))


def test_servers_of_a_removed_pool_are_closed(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = make_pooler(2, **QUIET)
    with Crowd(pooler, "select pg_sleep(0.002)", database="bench") as removed:
        with Crowd(pooler, "select pg_sleep(0.002)") as kept:
            removed.join(8)
            kept.join(8)
            removed.start()
            kept.start()
            removed.wait_for_turns(3)
            assert pooler.reload({"app": {}}).returncode == 0
            wait_for(lambda: all(each.is_gone for each in removed.members), "its clients are gone")
            wait_for(lambda: not pg.backends(database="bench"), "its servers are gone")
            kept.wait_for_turns(3)
            kept.stop()
            assert not kept.complaints()
        errors = [each.errors for each in removed.members]
        assert all(error[-1]["C"] == "57P01" for error in errors), errors


def _resize(pooler: Pooler, size: int) -> None:
    done = pooler.reload({"app": {"users": [user(pool_size=size)]}})
    assert done.returncode == 0, done.stderr


def _has(pg: PostgreSQL, count: int) -> bool:
    return len(_pids(pg)) == count


def _pids(pg: PostgreSQL) -> set[int]:
    return {each.pid for each in pg.backends("app")}


def _collect(pg: PostgreSQL, seen: set[int]) -> set[int]:
    seen |= _pids(pg)
    return seen


def _waits(pooler: Pooler) -> float:
    return scrape(pooler).value("greenpool_server_assignments_total", database="app", source="wait")
