"""PostgreSQL is away, refuses, or comes back: what clients are told, and that they are served."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness import messages
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.pooler import user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

pytestmark = ANY_POSTGRESQL


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
