"""PostgreSQL is away, refuses, or comes back: what clients are told, and that they are served."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness import messages
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.crowd import Crowd
from tests.integration.harness.metrics import scrape
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.proxy import Fate, Proxy
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

pytestmark = ANY_POSTGRESQL

SHORTEST_DELAY_S = 0.187
"""Between two attempts at a server that is away, after the first few: _cparser/outage.c."""


def test_clients_wait_through_an_outage(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = make_pooler(2, query_wait_timeout="20s")
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login()
        wire.query("select 1")
        pg.stop()
        wire.send(messages.query("select 2"))
        wait_for(lambda: "cannot open a server" in pooler.log(), "an attempt has failed")
        pg.start()
        found = wire.read_until(b"Z", 15)
        assert [each.values for each in found if each.kind == b"D"] == [[b"2"]]
        assert not [each for each in found if each.kind == b"E"]
    wait_for_balance(pooler, 0)


def test_wait_that_ends_in_an_outage_names_the_cause(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    pooler = make_pooler(2, query_wait_timeout="500ms")
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login()
        wire.query("select 1")
        pg.stop()
        error, ready = wire.query("select 2")
        assert (error.fields["S"], error.fields["C"]) == ("ERROR", "53300")
        assert f"{pg.host}:{pg.port}" in error.fields["M"]
        assert "Connection refused" in error.fields["M"]
        assert ready.body == b"I"
        pg.start()
        wait_for(lambda: wire.query("select 3")[0].kind == b"T", "the client is served again")


def test_failure_of_the_past_is_no_cause(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    users = [user(pool_size=1)]
    pooler = make_pooler(2, pools={"app": {"users": users}}, query_wait_timeout="500ms")
    with Wire.connect(pooler.host, pooler.port) as holder, pooler.connect() as waiter:
        holder.login()
        pg.stop()
        holder.query("select 1")
        pg.start()
        wait_for(lambda: holder.query("select 1")[0].kind == b"T", "the client is served again")
        holder.query("begin")
        holder.query("select 1")
        with pytest.raises(psycopg.errors.TooManyConnections, match="became free in time"):
            waiter.execute("select 1")


def test_first_client_of_a_pool_waits_through_an_outage_too(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    pooler = make_pooler(2, query_wait_timeout="20s")
    pg.stop()
    with ThreadPoolExecutor(1) as executor:
        with pooler.log_contains("cannot open a server"):
            login = executor.submit(pooler.connect, connect_timeout=15)
        pg.start()
        with login.result() as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_stop_does_not_wait_for_the_end_of_an_outage(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    pooler = make_pooler(2, query_wait_timeout="20s", shutdown_timeout="1h")
    pg.stop()
    with ThreadPoolExecutor(1) as executor:
        with pooler.log_contains("cannot open a server"):
            login = executor.submit(pooler.connect)
        assert pooler.stop() == 0
        with pytest.raises(psycopg.OperationalError, match="administrator command"):
            login.result()


@pytest.mark.parametrize(
    ("settings", "pool", "sqlstate", "text"),
    [
        ({"server_password": "wrong"}, {}, "28P01", 'authentication failed for user "app"'),
        ({}, {"server_database": "nowhere"}, "3D000", 'database "nowhere" does not exist'),
    ],
)
def test_refusals_are_told_in_postgresqls_words(
    make_pooler: MakePooler,
    settings: dict[str, str],
    pool: dict[str, str],
    sqlstate: str,
    text: str,
) -> None:
    pooler = make_pooler(2, pools={"app": {**pool, "users": [user(**settings)]}})
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.authenticate("app", "app")
        error = wire.read_to_end()[-1]
        assert (error.fields["S"], error.fields["C"]) == ("FATAL", sqlstate)
        assert text in error.fields["M"]


def test_refusal_comes_to_clients_that_are_in_already(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    pooler = make_pooler(2, query_wait_timeout="20s")
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login()
        wire.query("select 1")
        pg.sql("alter role app nologin")
        try:
            pg.terminate("app")
            wire.send(messages.query("select 2"))
            error = wire.read_to_end()[-1]
        finally:
            pg.sql("alter role app login")
        assert (error.fields["S"], error.fields["C"]) == ("FATAL", "28000")
    assert pooler.psql("select 3").stdout == "3\n"


@pytest.mark.parametrize("fate", [Fate.REFUSE, Fate.RESET, Fate.CUT, Fate.BLACKHOLE])
def test_crowds_of_two_pools_wait_through_an_outage(
    make_pooler: MakePooler, pg: PostgreSQL, fate: Fate
) -> None:
    """Whatever the outage is like, both pools together try once at a time, and rarely."""
    with Proxy(pg) as proxy:
        pools = dict.fromkeys(("app", "bench"), proxy.pool)
        settings = {"query_wait_timeout": "1m", "connect_timeout": "500ms", "web": True}
        pooler = make_pooler(2, pools=pools, **settings, **QUIET)
        with Crowd(pooler, "select 1") as many, Crowd(pooler, "select 1", database="bench") as few:
            many.join(100)
            few.join(20)
            _serve_once(many, few)
            proxy.fail(Fate.RESET)  # idle servers are gone before anybody asks them
            proxy.fail(fate)
            failures = _login_failures(pooler)
            began_s = time.monotonic()
            many.start()
            few.start()
            wait_for(lambda: _login_failures(pooler) - failures >= 8, "logins have failed")
            lasted_s = time.monotonic() - began_s
            tried = _login_failures(pooler) - failures
            proxy.heal()
            many.wait_for_turns(1)
            few.wait_for_turns(1)
            many.stop()
            few.stop()
            print(f"{tried} attempts in {lasted_s:.2f} s")
            assert tried <= 4 + 4 + lasted_s / SHORTEST_DELAY_S
            assert proxy.most_at_once <= 4
            assert not many.complaints() + few.complaints()
            wait_for_balance(pooler, 120)


def test_slow_server_is_no_outage(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    with Proxy(pg) as proxy:
        proxy.delay_s = 0.05
        pooler = make_pooler(2, pools={"app": proxy.pool}, query_wait_timeout="30s", **QUIET)
        with Crowd(pooler, "select 1") as crowd:
            crowd.join(20)
            _serve_once(crowd)
            assert not crowd.complaints()
        assert "cannot open a server" not in pooler.log()


def test_pool_goes_on_with_the_servers_it_has_when_there_are_too_many(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    pg.sql("alter role app connection limit 3")
    try:
        pooler = make_pooler(2, query_wait_timeout="30s", **QUIET)
        with Crowd(pooler, "select pg_sleep(0.01)") as crowd:
            crowd.join(30)
            with pooler.log_contains("too many connections for role"):
                crowd.start()
                crowd.wait_for_turns(5)
            crowd.stop()
            assert not crowd.complaints()
    finally:
        pg.sql("alter role app connection limit -1")


def test_who_finds_too_many_connections_waits_for_others_to_end(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    pg.sql("alter role app connection limit 0")
    try:
        pooler = make_pooler(2, query_wait_timeout="30s")
        with ThreadPoolExecutor(1) as executor:
            with pooler.log_contains("too many connections for role"):
                login = executor.submit(pooler.connect, connect_timeout=30)
            assert not login.done()
            pg.sql("alter role app connection limit -1")
            with login.result() as connection:
                assert connection.execute("select 1").fetchone() == (1,)
    finally:
        pg.sql("alter role app connection limit -1")


def _serve_once(*crowds: Crowd) -> None:
    for crowd in crowds:
        crowd.start()
    for crowd in crowds:
        crowd.wait_for_turns(1)
        crowd.stop()


def _login_failures(pooler: Pooler) -> float:
    return sum(scrape(pooler).values("greenpool_server_login_failures_total"))
