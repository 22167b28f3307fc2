"""Users of one database who share `max_db_connections`: who gets a server, and who gives one up."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.crowd import Crowd
from tests.integration.harness.pooler import QUIET, Connection, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.programs import PASSWORD
from tests.integration.harness.sampler import backends_sampled
from tests.integration.harness.waiting import wait_for

pytestmark = ANY_POSTGRESQL

HELD = "select pg_backend_pid()"


def guest(name: str, **settings: object) -> dict[str, object]:
    """Compose a user of the pooler who is `app` at the server."""
    return user(name, server_username="app", server_password=PASSWORD, **settings)


def shared(limit: int, *users: dict[str, object], **settings: object) -> dict[str, dict[str, Any]]:
    """Compose the one pool of a test; nothing in it waits long unless told otherwise."""
    everybody = users or (user(), guest("bea"))
    quick = {"min_connection_lifetime": "100ms", "reserve_pool_timeout": "200ms"}
    return {"app": {"users": list(everybody), "max_db_connections": limit, **quick, **settings}}


def row(pooler: Pooler) -> dict[str, Any]:
    (only,) = pooler.admin("show pool_coordinator")
    return only


def servers(pooler: Pooler, name: str) -> int:
    """Count the servers of a user that are not being closed."""
    (pool,) = [each for each in pooler.admin("show pools") if each["user"] == name]
    return sum(pool[state] for state in ("sv_active", "sv_idle", "sv_login", "sv_being_canceled"))


@contextmanager
def in_transaction(pooler: Pooler, count: int, name: str = "app") -> Iterator[list[Connection]]:
    """Have clients that hold a server each."""
    with ExitStack() as stack:
        clients = [stack.enter_context(pooler.connect(name)) for _ in range(count)]
        for client in clients:
            client.execute("begin")
            client.execute(HELD)
        yield clients
        for client in clients:
            client.execute("rollback")


def work_once(pooler: Pooler, count: int, name: str = "app") -> None:
    """Leave that many idle servers."""
    with in_transaction(pooler, count, name):
        pass


def test_idle_servers_make_room_for_another_user(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = make_pooler(2, pools=shared(3), **QUIET)
    work_once(pooler, 3)
    pooler.sleep(0.1)  # min_connection_lifetime
    with backends_sampled(pg) as backends, in_transaction(pooler, 2, "bea"):
        assert (servers(pooler, "app"), servers(pooler, "bea")) == (1, 2)
        assert row(pooler)["evictions"] == 2
        assert row(pooler)["current"] == 3
    assert backends.most == 3
    assert row(pooler)["exhaustions"] == 0


def test_young_servers_stay(make_pooler: MakePooler) -> None:
    pools = shared(2, min_connection_lifetime="1h")
    pooler = make_pooler(2, pools=pools, query_wait_timeout="600ms", **QUIET)
    work_once(pooler, 2)
    with pytest.raises(psycopg.OperationalError, match="max_db_connections 2, reserve_pool_size 0"):
        pooler.connect("bea").execute(HELD)
    assert servers(pooler, "app") == 2
    assert (row(pooler)["evictions"], row(pooler)["exhaustions"]) == (0, 1)


def test_guarantees_are_kept(make_pooler: MakePooler) -> None:
    pools = shared(4, min_guaranteed_pool_size=2)
    pooler = make_pooler(2, pools=pools, query_wait_timeout="600ms", **QUIET)
    work_once(pooler, 4)
    pooler.sleep(0.1)  # min_connection_lifetime
    with in_transaction(pooler, 2, "bea"), pooler.connect("bea") as third:
        with pytest.raises(psycopg.OperationalError, match=r'database "app" are in use'):
            third.execute(HELD)
        assert (servers(pooler, "app"), servers(pooler, "bea")) == (2, 2)
    assert row(pooler)["evictions"] == 2


def test_busy_user_cedes_to_one_who_has_none(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    """The hoarder is never idle: each of its servers has a next client at once."""
    pooler = make_pooler(2, pools=shared(4), **QUIET)
    with (
        Crowd(pooler, "select pg_sleep(0.005)") as hoarder,
        Crowd(pooler, "select 1", user="bea") as starving,
    ):
        hoarder.join(24)
        hoarder.start()
        wait_for(lambda: servers(pooler, "app") == 4, "it has all of them")
        with backends_sampled(pg) as backends:
            starving.join(2)
            starving.start()
            starving.wait_for_turns(20)
            hoarder.wait_for_turns(5)
            starving.stop()
            hoarder.stop()
        assert backends.most <= 4
        assert not hoarder.complaints() + starving.complaints()
    assert row(pooler)["cessions"] >= 1


def test_reserve_comes_and_goes(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = make_pooler(2, pools=shared(2, reserve_pool_size=1), **QUIET)
    with (
        backends_sampled(pg) as backends,
        in_transaction(pooler, 2),
        in_transaction(pooler, 1, "bea"),
    ):
        assert (row(pooler)["current"], row(pooler)["reserve_used"]) == (3, 1)
    wait_for(lambda: row(pooler)["reserve_used"] == 0, "a burst is over")
    assert backends.most == 3
    assert row(pooler)["reserve_acq"] == 1
    assert row(pooler)["evictions"] == 0


def test_reserve_server_becomes_an_ordinary_one(make_pooler: MakePooler) -> None:
    """It moves while its client goes on with it, as soon as there is room."""
    pools = shared(2, reserve_pool_size=1, min_connection_lifetime="1h")
    pooler = make_pooler(2, pools=pools, idle_timeout="300ms", **QUIET)
    with ExitStack() as stack:
        with in_transaction(pooler, 2):
            late = stack.enter_context(pooler.connect("bea"))
            pid = late.execute(HELD).fetchone()
            assert row(pooler)["reserve_used"] == 1

        def is_promoted() -> bool:
            assert late.execute(HELD).fetchone() == pid
            return bool(row(pooler)["promotions"])

        wait_for(is_promoted, "idle_timeout has made room")
        assert row(pooler)["reserve_used"] == 0


def test_exhaustion_is_told_and_counted(make_pooler: MakePooler) -> None:
    pools = shared(2, reserve_pool_size=1)
    pooler = make_pooler(1, pools=pools, query_wait_timeout="1s", **QUIET)
    with pooler.connect("bea") as last:
        last.execute(HELD)
        pooler.sleep(0.1)  # min_connection_lifetime
        with in_transaction(pooler, 3), pytest.raises(psycopg.OperationalError) as caught:
            last.execute(HELD)
        assert caught.value.sqlstate == "53300"
        told = 'all server connections to database "app" are in use (max_db_connections 2, '
        assert f"{told}reserve_pool_size 1)" in str(caught.value)
    counts = ("evictions", "reserve_acq", "exhaustions")
    assert [row(pooler)[count] for count in counts] == [1, 1, 1]


def test_share_of_the_reserve_is_a_user_s(make_pooler: MakePooler) -> None:
    users = (user(), guest("bea", reserve_pool_size=0))
    pools = shared(2, *users, reserve_pool_size=1)
    pooler = make_pooler(1, pools=pools, query_wait_timeout="1s", **QUIET)
    with in_transaction(pooler, 2):
        with pytest.raises(psycopg.OperationalError, match="max_db_connections 2"):
            pooler.connect("bea")
        with in_transaction(pooler, 1):
            assert row(pooler)["reserve_used"] == 1


def test_limit_is_changed_by_reload(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    def resize(limit: int) -> None:
        done = pooler.reload(shared(limit))
        assert done.returncode == 0, done.stderr

    def is_within(limit: int) -> bool:
        return len(pg.backends("app")) <= limit

    pooler = make_pooler(2, pools=shared(0), **QUIET)
    assert pooler.admin("show pool_coordinator") == []
    with (
        Crowd(pooler, "select pg_sleep(0.003)") as ours,
        Crowd(pooler, "select pg_sleep(0.003)", user="bea") as theirs,
    ):
        ours.join(10)
        theirs.join(10)
        ours.start()
        theirs.start()
        wait_for(lambda: len(pg.backends("app")) > 10, "without a limit there are many")
        for limit in (6, 3, 8):
            resize(limit)
            wait_for(partial(is_within, limit), "the surplus is gone")
            with backends_sampled(pg) as backends:
                ours.wait_for_turns(5)
                theirs.wait_for_turns(5)
            assert backends.most <= limit
            assert row(pooler)["max_db_conn"] == limit
        wait_for(lambda: row(pooler)["current"] == 8, "a raised limit is used")
        resize(0)
        wait_for(lambda: len(pg.backends("app")) > 10, "without a limit there are many")
        ours.stop()
        theirs.stop()
        assert not ours.complaints() + theirs.complaints()


def test_limit_survives_kills_and_an_upgrade(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    """Two users who both want more than all of it, while processes go and come."""
    pooler = make_pooler(2, pools=shared(5, reserve_pool_size=1), query_wait_timeout="1m", **QUIET)
    with (
        Crowd(pooler, "select pg_sleep(0.02)") as ours,
        Crowd(pooler, "select pg_sleep(0.02)", user="bea") as theirs,
    ):
        for crowd in (ours, theirs):
            crowd.join(8)
            crowd.start()
            crowd.wait_for_turns(3)
        _kill_a_worker(pooler)
        for crowd in (ours, theirs):
            crowd.wait_for_losses()
            crowd.join(4)
            crowd.wait_for_turns(3)
        # PostgreSQL ends the queries of who has vanished before it sees that nobody is there.
        wait_for(lambda: len(pg.backends("app")) <= 6, "what the dead one had is gone")
        with backends_sampled(pg) as backends:
            done = pooler.upgrade()
            assert done.returncode == 0, done.stderr
            for crowd in (ours, theirs):
                crowd.wait_for_turns(3)
                crowd.stop()
                crowd.dismiss_gone()
                assert not crowd.complaints()
        assert backends.most <= 6
    wait_for(lambda: row(pooler)["current"] == len(pg.backends("app")), "nobody is lost")


def test_template_s_databases_have_a_limit_each(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    everybody = [guest("ann"), guest("bea")]
    quick = {"max_db_connections": 1, "min_connection_lifetime": "100ms"}
    pools = {"none": {}, "*": {"users": everybody, **quick}}
    pooler = make_pooler(2, pools=pools, **QUIET)
    with pooler.connect("ann", "app") as ann, pooler.connect("ann", "bench") as other:
        ann.execute(HELD)
        other.execute(HELD)
        pooler.sleep(0.1)  # min_connection_lifetime
        with pooler.connect("bea", "app") as bea:
            bea.execute(HELD)
        rows = {each["database"]: each for each in pooler.admin("show pool_coordinator")}
    assert {name: each["current"] for name, each in rows.items()} == {"app": 1, "bench": 1}
    assert (rows["app"]["evictions"], rows["bench"]["evictions"]) == (1, 0)


def _kill_a_worker(pooler: Pooler) -> None:
    before = pooler.worker_pids()
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: len(set(pooler.worker_pids()) - set(before)) == 1, "another takes its place")
