"""Startup parameters: a client is told, and gets, what a direct connection would have given it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.postgres import PostgreSQL

ONE_SERVER = {"app": {"users": [{"username": "app", "password": "secret", "pool_size": 1}]}}
REPORTED = (
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "scram_iterations",
    "search_path",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone",
)
WISHES: tuple[dict[str, Any], ...] = (
    {},
    {"application_name": "tests"},
    {"application_name": "it's \\ a ünïcode name"},
    {"client_encoding": "latin1"},
    {"options": "-c DateStyle=german -c timezone=america/lima --intervalstyle=iso_8601"},
    {"options": r"-c search_path=a,\"B\ b\",$user -c work_mem=77MB"},
    {"options": "-c standard_conforming_strings=off -c my.own=x'y"},
)
# Spelled otherwise than servers report them; some are what servers have anyway.
SPELLINGS: tuple[dict[str, Any], ...] = (
    {"client_encoding": "utf-8", "options": "-c datestyle=sql -c standard_conforming_strings=yes"},
    {"options": "-c datestyle=dmy -c intervalstyle=POSTGRES -c timezone=utc"},
)


def connect(pg: PostgreSQL, **wish: Any) -> psycopg.Connection[Any]:
    """Connect to PostgreSQL itself."""
    return psycopg.connect(pg.dsn("app", "app"), autocommit=True, connect_timeout=10, **wish)


def told(connection: psycopg.Connection[Any]) -> dict[str, str | None]:
    """Return what the server reported at login."""
    return {name: connection.info.parameter_status(name) for name in REPORTED}


def settings(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Return every setting that a session can have, and whatever the client made up."""
    rows = connection.execute(
        "select name, setting from pg_settings where source in ('client', 'session') "
        "union select 'my.own', coalesce(current_setting('my.own', true), '')"
    )
    return dict(rows.fetchall())


@pytest.mark.parametrize("wish", WISHES + SPELLINGS)
def test_welcome_is_that_of_a_direct_connection(
    pg: PostgreSQL, pooler: Pooler, wish: dict[str, Any]
):
    with (
        connect(pg, **wish) as direct,
        pooler.connect("app", "app", **wish) as pooled,
        pooler.connect("app", "app", **wish) as again,
    ):
        assert told(pooled) == told(direct)
        assert told(again) == told(direct)


def test_one_server_is_to_every_client_what_it_asked_for(pg: PostgreSQL, make_pooler: MakePooler):
    pooler = make_pooler(workers=2, pools=ONE_SERVER)
    connections = [(connect(pg, **wish), pooler.connect("app", "app", **wish)) for wish in WISHES]
    for _ in range(2):
        for direct, pooled in connections:
            pooled.autocommit = True
            assert settings(pooled) == settings(direct)
    for direct, pooled in connections:
        direct.close()
        pooled.close()


@pytest.mark.parametrize(
    "options", ["-c TimeZone=Nowhere", "-c work_mem=lots", "-c nosuchthing=1", "-c fsync=off"]
)
def test_setting_that_postgresql_refuses_ends_the_login_in_its_words(
    pg: PostgreSQL, pooler: Pooler, options: str
):
    with pytest.raises(psycopg.OperationalError) as direct:
        connect(pg, options=options)
    with pytest.raises(psycopg.OperationalError) as pooled:
        pooler.connect("app", "app", options=options)
    assert words(pooled.value) == words(direct.value)
    pooler.connect("app", "app").close()


def words(error: psycopg.OperationalError) -> str:
    return str(error).rpartition("FATAL:")[2].strip()
