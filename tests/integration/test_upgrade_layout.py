"""Upgrades to a program that lays the shared segment out otherwise, and back: nobody notices."""

from __future__ import annotations

import os
import signal
import threading

import psycopg
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.found import asking, log_in, pools_of, value, whoami
from tests.integration.harness.installed import GOOD, Installed, status
from tests.integration.harness.layouts import ANOTHER, build_another
from tests.integration.harness.openings import everything_open, one
from tests.integration.harness.pooler import QUIET, Connection, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.processes import halted
from tests.integration.harness.programs import PASSWORD
from tests.integration.harness.tls import House
from tests.integration.harness.waiting import wait_for

pytestmark = [ANY_POSTGRESQL, pytest.mark.timeout(600)]

SELF = "select pg_backend_pid()"
PATIENCE_S = 60.0


@pytest.fixture(scope="module", autouse=True)
def _another() -> None:
    build_another()


def upgrade(pooler: Pooler, program: str) -> None:
    """Upgrade to this program, which has another layout than the one that runs."""
    assert isinstance(pooler, Installed)
    pooler.install(program)
    with pooler.log_contains("has another layout of the segment"):
        done = pooler.upgrade()
    assert done.returncode == 0, done.stderr


def wait_until_alone(pooler: Pooler) -> None:
    wait_for(lambda: not pooler.elders(), "the old generation has ended", PATIENCE_S)


@pytest.mark.parametrize("io_backend", ["epoll", "io_uring"])
def test_everything_open_moves_there_and_back(
    make_pooler: MakePooler, pg: PostgreSQL, io_backend: str
) -> None:
    pooler = make_pooler(2, kind=Installed, io_backend=io_backend)
    with everything_open(pooler):
        before = {each.pid for each in pg.backends("app")}
        for program in (ANOTHER, GOOD):
            upgrade(pooler, program)
            wait_until_alone(pooler)
            assert len(status(pooler)["workers"]) == 2
        assert before <= {each.pid for each in pg.backends("app")}


def test_clients_with_tls_move_there_and_back(make_pooler: MakePooler, house: House) -> None:
    pooler = make_pooler(2, kind=Installed, **house.settings())
    with everything_open(pooler, house.context()):
        for program in (ANOTHER, GOOD):
            upgrade(pooler, program)
            wait_until_alone(pooler)
    wait_for(lambda: not pooler.pumps(), "the process has ended with its last client", PATIENCE_S)


def sleeping(pooler: Pooler) -> int:
    """Count the queries that run."""
    return len([each for each in pooler.pg.backends("app") if each.state == "active"])


def test_limits_and_cancel_keys_hold_over_both(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    """The old workers are halted, so both generations have clients and servers."""
    pooler = make_pooler(
        1,
        kind=Installed,
        pools={"app": {"users": [user(pool_size=2)]}},
        max_connections=3,
        query_wait_timeout="1s",
    )
    failure: list[BaseException] = []

    def sleep(client: Connection) -> None:
        try:
            client.execute("select pg_sleep(60)")
        except psycopg.Error as exc:
            failure.append(exc)

    with pooler.connect() as stays, pooler.connect(autocommit=False) as holds:
        own = one(holds, SELF)
        sleeper = threading.Thread(target=sleep, args=(stays,))
        sleeper.start()
        wait_for(lambda: sleeping(pooler) == 1, "it sleeps", PATIENCE_S)
        with halted(*pooler.worker_pids()):
            upgrade(pooler, ANOTHER)
            with pooler.connect() as third:
                with pytest.raises(psycopg.OperationalError, match="query_wait_timeout"):
                    third.execute("select 1")
                with pytest.raises(psycopg.OperationalError, match="too many clients"):
                    pooler.connect()
            assert len(pg.backends("app")) == 2
            stays.cancel()  # the new generation hears it
            wait_for(lambda: sleeping(pooler) == 0, "PostgreSQL hears it, too", PATIENCE_S)
        sleeper.join(PATIENCE_S)
        assert "canceling statement due to user request" in str(failure)
        wait_until_alone(pooler)
        assert one(holds, SELF) == own
        holds.commit()
        failure.clear()
        sleeper = threading.Thread(target=sleep, args=(stays,))
        sleeper.start()
        wait_for(lambda: sleeping(pooler) == 1, "it sleeps again", PATIENCE_S)
        stays.cancel()  # by the same key
        sleeper.join(PATIENCE_S)
        assert "canceling statement due to user request" in str(failure)


def test_places_of_a_database_and_events_are_shared_by_both(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    """The old worker is halted, and has the only server that the database may have."""
    bea = user("bea", server_username="app", server_password=PASSWORD)
    shared = {"max_db_connections": 1, "min_connection_lifetime": "1ms"}
    pooler = make_pooler(
        1,
        kind=Installed,
        pools={"app": {"users": [user(), bea], **shared}},
        query_wait_timeout="2s",
        **QUIET,
    )
    with pooler.connect("bea") as waits, pooler.connect(autocommit=False) as holds:
        assert one(waits, "select 1") == 1
        own = one(holds, SELF)  # the other's server has made room for it
        with halted(*pooler.worker_pids()):
            upgrade(pooler, ANOTHER)
            refused = pytest.raises(psycopg.OperationalError, match="max_db_connections 1")
            with pooler.connect("bea") as comes, refused:
                comes.execute("select 1")
            assert [each.pid for each in pg.backends("app")] == [own]
        wait_until_alone(pooler)
        holds.commit()
        assert one(waits, "select 2") == 2
    happened = [row["event"] for row in pooler.admin("show events")]
    assert happened.index("ready") < happened.index("upgraded")  # each told by a generation


def test_pause_and_another_configuration_come_along(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1, kind=Installed, pools={"app": {}, "gone": {"server_database": "app"}})
    assert isinstance(pooler, Installed)
    with pooler.connect() as stays, pooler.connect(database="gone") as leaves:
        first = one(stays, SELF)
        leaves.execute("select 1")
        pooler.admin("pause app")
        pooler.configure(pools={"app": {"users": [user(pool_size=1)]}, "bench": {}})
        upgrade(pooler, ANOTHER)
        wait_for(
            lambda: "left: killed by the administrator" in pooler.log(),
            "who has no pool any more is told",
            PATIENCE_S,
        )
        with pytest.raises(psycopg.OperationalError, match="the pool has been removed"):
            leaves.execute("select 1")
        with pooler.connect(database="bench") as new:
            assert one(new, "select 1") == 1
        held = {row["name"]: row["paused"] for row in pooler.admin("show databases")}
        assert (held["app"], held["bench"]) == (1, 0)
        wait_until_alone(pooler)
        pooler.admin("resume app")
        assert one(stays, SELF) != first
    wait_for(lambda: not pooler.pg.backends("gone"), "its servers are closed", PATIENCE_S)


@pytest.mark.usefixtures("found_users")
def test_pools_of_found_users_come_along(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1, kind=Installed, pools=asking())
    with log_in(pooler, "ann") as stays:
        own = value(stays, SELF)
        for program in (ANOTHER, GOOD):
            upgrade(pooler, program)
            assert value(stays, SELF) == own
            with log_in(pooler, "bob") as comes:
                assert whoami(comes) == "bob"
            wait_until_alone(pooler)
        assert {*pools_of(pooler)} >= {"app", "ann"}


def test_new_generation_that_is_killed_gives_everything_back(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1, kind=Installed)
    elder = pooler.master_pid
    with pooler.connect(autocommit=False) as stays:
        own = one(stays, SELF)
        with halted(*pooler.worker_pids()):  # it has handed nothing over
            upgrade(pooler, ANOTHER)
            with pooler.log_contains("this generation comes back", PATIENCE_S):
                os.kill(pooler.master_pid, signal.SIGKILL)
        pooler.follow()
        assert pooler.master_pid == elder
        with pooler.connect() as comes:
            assert one(comes, "select 1") == 1
        assert one(stays, SELF) == own
        stays.commit()
        upgrade(pooler, ANOTHER)  # and once more, to the end
        wait_until_alone(pooler)
        assert one(stays, "select 2") == 2


def test_what_a_killed_old_generation_had_is_taken_back(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    pooler = make_pooler(1, kind=Installed, pools={"app": {"users": [user(pool_size=2)]}})
    elders = [pooler.master_pid, *pooler.worker_pids()]
    goes = pooler.connect(autocommit=False)
    own = one(goes, SELF)
    with halted(*elders[1:]):  # it has handed nothing over
        upgrade(pooler, ANOTHER)
        with pooler.log_contains("taking back what it left", PATIENCE_S):
            for pid in elders:
                os.kill(pid, signal.SIGKILL)
    goes.close()
    wait_for(lambda: own not in {each.pid for each in pg.backends("app")}, "its server is closed")
    with pooler.connect(autocommit=False) as first, pooler.connect(autocommit=False) as second:
        assert one(first, SELF) != one(second, SELF)  # its place is free
