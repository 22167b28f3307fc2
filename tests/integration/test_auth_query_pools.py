"""The pools of users whom auth_query finds: one each, or one for all; made, kept and given up."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.found import (
    asking,
    counts,
    log_in,
    pools_of,
    refusal,
    value,
    whoami,
    wrong_password,
)
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.programs import PASSWORD
from tests.integration.harness.waiting import wait_for

pytestmark = [ANY_POSTGRESQL, pytest.mark.usefixtures("found_users")]

CROWD = 200  # in two halves: the second finds the places of the first


@pytest.fixture
def crowd(pg: PostgreSQL) -> Iterator[list[str]]:
    """Return the names of many users, who all have ann's password."""
    names = [f"crowd_{number}" for number in range(CROWD)]
    [(secret,)] = pg.sql("select rolpassword from pg_authid where rolname = 'ann'")
    pg.sql(";".join(f"create role {name} login password '{secret}'" for name in names))
    yield names
    pg.terminate()
    pg.sql(";".join(f"drop role {name}" for name in names))


def places_of(pooler: Pooler) -> set[int]:
    """Return where in the segment the pools with servers are."""
    return {int(row["ptr"][1:].partition(".")[0]) for row in pooler.admin("show servers")}


def test_each_found_user_has_a_pool_of_its_size(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = make_pooler(2, pools=asking(default_pool_size=2, min_pool_size=1))
    with ExitStack() as stack:
        connections = [stack.enter_context(log_in(pooler, "ann")) for _ in range(6)]
        for connection in connections:
            assert whoami(connection) == "ann"
        row = pools_of(pooler)["ann"]
        assert (row["pool_size"], row["min_pool_size"], row["cl_active"]) == (2, 1, 6)
        assert 1 <= len(pg.backends("ann")) <= 2
    pg.terminate("ann")
    wait_for(lambda: len(pg.backends("ann")) == 1, "min_pool_size is kept")
    users = {row["name"]: row for row in pooler.admin("show users")}
    assert set(users) == {"app", "ann"}
    assert users["ann"]["pool_size"] == "2"
    [database] = pooler.admin("show databases")
    assert database["pool_size"] == 10 + 2


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_many_users_come_and_their_pools_go(
    make_pooler: MakePooler, pg: PostgreSQL, crowd: list[str]
) -> None:
    pooler = make_pooler(2, pools=asking(), idle_timeout="300ms")
    for names in (crowd[: CROWD // 2], crowd[CROWD // 2 :]):
        for name in names:
            with log_in(pooler, name) as connection:
                assert whoami(connection) == name
        assert max(places_of(pooler), default=0) < 2 + CROWD // 2  # the second half has the same
        wait_for(lambda: set(pools_of(pooler)) == {"app", "(auth_query)"}, "they are gone")
    row = counts(pooler)
    assert (row["dynamic_pools"], row["cache_entries"]) == (0, CROWD)
    assert row["dynamic_pools_created"] == row["dynamic_pools_destroyed"] == CROWD
    with log_in(pooler, crowd[0]) as connection:  # who has been here is welcome again
        assert whoami(connection) == crowd[0]
        assert max(places_of(pooler)) < 2 + CROWD // 2
    stats = {row["database"]: row for row in pooler.admin("show stats")}
    assert stats["app"]["total_query_count"] >= 2 * CROWD  # theirs and those about them


def test_pool_with_a_client_is_kept(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = make_pooler(2, pools=asking(), idle_timeout="100ms")
    with log_in(pooler, "ann") as connection:
        wait_for(lambda: not pg.backends("ann"), "its servers are gone")
        with log_in(pooler, "bob"):
            pass
        wait_for(lambda: "bob" not in pools_of(pooler), "the pool nobody uses is gone")
        assert "ann" in pools_of(pooler)
        assert whoami(connection) == "ann"


def test_dead_worker_takes_no_pool_with_it(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = make_pooler(2, pools=asking(min_pool_size=2))
    log_in(pooler, "ann").close()
    wait_for(lambda: len(pg.backends("ann")) == 2, "the pool is filled")
    before = {each.pid for each in pg.backends("ann")}
    dead = set(pooler.worker_pids())
    for pid in dead:  # nobody is left who has seen her
        os.kill(pid, signal.SIGKILL)

    def is_filled_again() -> bool:
        now = {each.pid for each in pg.backends("ann")}
        return len(now) == 2 and not now & before

    wait_for(is_filled_again, "the pool is filled again")
    wait_for(lambda: not dead & set(pooler.worker_pids()), "others have taken their places")
    with log_in(pooler, "ann") as connection:
        assert whoami(connection) == "ann"
    assert refusal(pooler, "ann", "wrong") == wrong_password("ann")


def test_users_share_one_pool_under_server_user(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pg.sql("""insert into settings_of values ('ann', '{"work_mem": "5MB"}')""", database="app")
    shared = asking(server_user="bob", server_password=PASSWORD, pool_size=1)
    pooler = make_pooler(2, pools=shared)
    with log_in(pooler, "ann") as ann, log_in(pooler, "old_md5") as other:
        for _ in range(3):
            assert whoami(ann) == whoami(other) == "bob"
            assert value(ann, "show work_mem") == "5MB"
            assert value(other, "show work_mem") == "4MB"
        assert len(pg.backends("bob")) == 1
        assert {row["user"] for row in pooler.admin("show clients")} >= {"ann", "old_md5"}
    assert refusal(pooler, "ann", "wrong") == wrong_password("ann")
    assert refusal(pooler, "nobody") == wrong_password("nobody")
    assert set(pools_of(pooler)) == {"app", "bob", "(auth_query)"}
    with log_in(pooler, "bob") as connection:  # found like the others
        assert whoami(connection) == "bob"
    assert counts(pooler)["dynamic_pools"] == 0


def test_plain_password_found_verifies(make_pooler: MakePooler) -> None:
    query = "select 'pencil'::text as passwd where $1::text = 'painter'"
    shared = asking(query=query, server_user="bob", server_password=PASSWORD)
    pooler = make_pooler(1, pools=shared)
    with log_in(pooler, "painter", "pencil") as connection:
        assert whoami(connection) == "bob"
    assert refusal(pooler, "painter", "pen") == wrong_password("painter")
    assert "pencil" not in pooler.log()


def test_reload_keeps_pools_and_takes_them_away(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2, pools=asking())
    with log_in(pooler, "ann") as connection:
        assert whoami(connection) == "ann"
        assert pooler.reload(asking({"query_wait_timeout": "7s"})).returncode == 0
        assert whoami(connection) == "ann"
        assert pooler.reload(asking(default_pool_size=3)).returncode == 0
        assert whoami(connection) == "ann"
        assert pools_of(pooler)["ann"]["pool_size"] == 3
        assert pooler.reload({"app": {"users": [user()]}}).returncode == 0
        with pytest.raises(psycopg.OperationalError, match="terminating connection"):
            wait_for(lambda: not whoami(connection), "she is told to go")
    assert refusal(pooler, "ann") == wrong_password("ann")
    assert set(pools_of(pooler)) == {"app"}
    assert pooler.admin("show auth_query") == []
    assert pooler.reload(asking()).returncode == 0
    assert refusal(pooler, "ann") == ""


def test_user_that_a_reload_configures_is_looked_up_no_more(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2, pools=asking())
    with log_in(pooler, "ann") as connection:
        users = [user(), user("ann", password="own", server_password=PASSWORD, pool_size=3)]
        assert pooler.reload(asking({"users": users})).returncode == 0
        assert whoami(connection) == "ann"
        assert refusal(pooler, "ann", PASSWORD) == wrong_password("ann")
        assert refusal(pooler, "ann", "own") == ""
        assert pools_of(pooler)["ann"]["pool_size"] == 3
    assert counts(pooler)["dynamic_pools"] == 0


def test_limits_hold_for_found_users(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2, pools=asking(), max_user_client_connections=2)
    with log_in(pooler, "ann"), log_in(pooler, "ann"):
        assert refusal(pooler, "ann") == 'too many connections for role "ann"'
        assert refusal(pooler, "bob") == ""
