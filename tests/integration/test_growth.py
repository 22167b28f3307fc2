"""A pool grows with care: no herd of logins for a crowd, none for a gap, one for a lack."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.crowd import Crowd
from tests.integration.harness.pooler import ADMIN_DATABASE, QUIET, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.sampler import Sampler, backends_sampled
from tests.integration.harness.waiting import wait_for

pytestmark = ANY_POSTGRESQL


def scaling(pooler: Pooler) -> dict[str, Any]:
    (row,) = (row for row in pooler.admin("show pool_scaling") if row["database"] == "app")
    return row


def test_crowd_fills_a_cold_pool_within_the_bounds_of_logins(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    """500 clients at once on 40 servers: two logins at a time, and no more servers than 40."""
    users = [user(pool_size=40)]
    pooler = make_pooler(2, pools={"app": {"users": users}}, query_wait_timeout="60s", **QUIET)
    with (
        Crowd(pooler, "select pg_sleep(0.005)") as crowd,
        psycopg.connect(
            host=pooler.host,
            port=pooler.port,
            dbname=ADMIN_DATABASE,
            user="admin",
            password="admin-secret",
            autocommit=True,
            row_factory=dict_row,
        ) as admin,
    ):

        def logins() -> int:
            rows = admin.execute("show pools").fetchall()
            return max(int(row["sv_login"]) for row in rows)

        crowd.join(500)
        pg.terminate("app")
        wait_for(lambda: scaling(pooler)["servers"] == 0, "the pool is cold")
        before = scaling(pooler)
        with backends_sampled(pg) as backends, Sampler(logins) as in_flight:
            crowd.start()
            wait_for(lambda: scaling(pooler)["servers"] == 40, "the pool is full")
            crowd.wait_for_turns(1, 60)
        crowd.stop()
        after = scaling(pooler)
        assert in_flight.most <= 2
        assert backends.most <= 40
        assert after["gate_waits"] > before["gate_waits"]
        assert after["creates"] - after["spared"] - before["creates"] + before["spared"] == 40
        assert not crowd.complaints()


def test_gap_between_transactions_opens_no_server(make_pooler: MakePooler) -> None:
    pools = {"app": {"scaling_warm_pool_ratio": 10, "scaling_fast_retries": 1000}}
    pooler = make_pooler(2, pools=pools)
    with Crowd(pooler, "select 1") as crowd:
        crowd.join(3)
        crowd.start()
        wait_for(lambda: scaling(pooler)["antic_notify"] > 0, "patience has been rewarded")
        crowd.stop()
        assert not crowd.complaints()


def test_lack_of_servers_opens_one(make_pooler: MakePooler) -> None:
    pools = {"app": {"users": [user(pool_size=2)], "scaling_warm_pool_ratio": 50}}
    pooler = make_pooler(2, pools=pools)
    with pooler.connect(autocommit=False) as holder, pooler.connect() as other:
        holder.execute("select 1")
        assert other.execute("select 2").fetchone() == (2,)
        assert scaling(pooler)["servers"] == 2


def test_last_client_is_served_when_nobody_is_patient(make_pooler: MakePooler) -> None:
    pools = {"app": {"scaling_warm_pool_ratio": 0, "scaling_fast_retries": 0}}
    pooler = make_pooler(1, pools=pools)
    with Crowd(pooler, "select pg_sleep(0.005)") as crowd:
        crowd.join(12)
        crowd.start()
        wait_for(lambda: scaling(pooler)["servers"] == 10, "the pool is full")
        crowd.wait_for_turns(2)
        crowd.stop()
        row = scaling(pooler)
        assert row["antic_notify"] == row["antic_timeout"] == 0
        assert row["hasty_crowd"] > 0
        assert not crowd.complaints()
