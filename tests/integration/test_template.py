"""The pool "*": databases that no other pool is for, whose pools the first login makes."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.found import (
    asking,
    log_in,
    refusal,
    value,
    whoami,
    wrong_password,
)
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.postgres import MAJORS, PostgreSQL
from tests.integration.harness.programs import PASSWORD
from tests.integration.harness.waiting import wait_for

pytestmark = pytest.mark.parametrize("_server", MAJORS[-1:], indirect=True)

WHERE = "select current_database()::text"
SELF = "select pg_backend_pid()::text"


@pytest.fixture
def second(pg: PostgreSQL) -> Iterator[str]:
    name = pg.create_database()
    yield name
    pg.terminate()
    pg.drop_database(name)


def template(**more: object) -> dict[str, dict[str, object]]:
    return {"bench": {"users": [user()]}, "*": {"users": [user()], **more}}


def databases(pooler: Pooler) -> set[str]:
    return {row["name"] for row in pooler.admin("show databases")}


def complaint(pooler: Pooler, name: str, database: str, password: str = PASSWORD) -> str:
    """Return what somebody is told who cannot work there."""
    try:
        with pooler.connect(name, database, password=password) as connection:
            return value(connection, "select 'works'")
    except psycopg.OperationalError as exc:
        return str(exc).strip().rpartition("FATAL:  ")[2]


def test_each_database_has_a_pool_while_somebody_is_there(
    make_pooler: MakePooler, database: str, second: str
) -> None:
    pooler = make_pooler(2, pools=template(), idle_timeout="500ms")
    assert databases(pooler) == {"bench"}
    with pooler.connect(database=database) as one, pooler.connect(database=second) as other:
        assert (value(one, WHERE), value(other, WHERE)) == (database, second)
        with pooler.connect(database="bench") as named:
            assert value(named, WHERE) == "bench"
        assert databases(pooler) == {"bench", database, second}
    wait_for(lambda: databases(pooler) == {"bench"}, "pools that nobody uses are gone")
    with pooler.connect(database=second) as again:
        assert value(again, WHERE) == second


def test_nobody_else_makes_a_pool(make_pooler: MakePooler, database: str) -> None:
    pooler = make_pooler(1, pools=template())
    for name, password in (("app", "wrong"), ("stranger", PASSWORD)):
        assert complaint(pooler, name, database, password) == wrong_password(name)
    assert complaint(pooler, "app", "*") == 'database "*" does not exist'
    assert databases(pooler) == {"bench"}
    told = complaint(pooler, "app", "nowhere")  # by PostgreSQL
    assert told == 'database "nowhere" does not exist'


def test_template_s_own_database_is_that_of_all(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1, pools=template(server_database="app"))
    with pooler.connect(database="whatever") as connection:
        assert value(connection, WHERE) == "app"


@pytest.mark.usefixtures("found_users")
@pytest.mark.parametrize("server_user", [None, "bob"])
def test_found_users_come_to_any_database(
    make_pooler: MakePooler, database: str, server_user: str | None
) -> None:
    shared = {"server_user": server_user, "server_password": PASSWORD} if server_user else {}
    pools = {"*": asking(database="app", **shared)["app"]}
    pooler = make_pooler(2, pools=pools, idle_timeout="500ms")
    with log_in(pooler, "ann", database=database) as ann:
        assert (value(ann, WHERE), whoami(ann)) == (database, server_user or "ann")
        [row] = pooler.admin("show auth_query")
        assert (row["database"], row["dynamic_pools"]) == ("*", 1)
    assert refusal(pooler, "stranger") == wrong_password("stranger")
    wait_for(lambda: databases(pooler) == set(), "its pool is gone")


def test_pools_go_on_over_reload_and_upgrade(make_pooler: MakePooler, database: str) -> None:
    pooler = make_pooler(2, pools=template())
    with pooler.connect(database=database) as stays:
        backend = value(stays, SELF)
        pools = template()
        pools[database] = {"users": [user()]}  # it gets a name
        assert pooler.reload(pools=pools).returncode == 0
        assert value(stays, SELF) == backend
        assert pooler.reload(pools=template()).returncode == 0  # and loses it
        assert value(stays, SELF) == backend
        assert pooler.upgrade().returncode == 0
        assert value(stays, SELF) == backend
        with pooler.connect(database=database) as comes:
            assert value(comes, SELF) == backend
    wait_for(lambda: not pooler.elders(), "the old generation has ended")
