"""What a SELECT may ask of the console, and that it asks for no more."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenpool import __version__
from greenpool.admin.catalog import FUNCTIONS, LITERALS, RELATIONS, WORDS
from greenpool.protocol.backend import BOOL, INT4, NAME, OID, TEXT
from greenpool.protocol.errors import ClientError
from tests.unit.admin.samples import Bench

VERSION = f"greenpool {__version__}"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1", [{"?column?": 1}]),
        ("select 'x' as a, null b, True, 7 \"C\"", [{"a": "x", "b": None, "bool": True, "C": 7}]),
        ("select version()", [{"version": VERSION}]),
        ("select pg_catalog.version();", [{"version": VERSION}]),
        ("SELECT current_schema()", [{"current_schema": None}]),
        ("SELECT current_schema() a,session_user", [{"a": None, "session_user": "admin"}]),
        ("select user, current_catalog", [{"user": "admin", "current_catalog": "greenpool"}]),
        ("select current_setting('TimeZone')", [{"current_setting": "UTC"}]),
        ("select current_setting('app.x', true) x", [{"x": None}]),
        ("select lower(null) like 'a'", None),
        ("select 1 where 1 = 2", []),
        ("select 1 where not 1 = 2 and not not true", [{"?column?": 1}]),
        ("select 1 where null = null", []),
        ("select setting from pg_settings where name = 'application_name'", [{"setting": "psql"}]),
        ("select s.name from pg_settings as s where s.name in ('jit', 'x')", [{"name": "jit"}]),
        ("select datname from pg_database where datallowconn", [{"datname": "greenpool"}]),
        ("select d.* from pg_database d where datistemplate limit 1", []),
        ("select 1 from pg_settings limit 2", [{"?column?": 1}] * 2),
        ("select name from pg_settings where name like 'ji_'", [{"name": "jit"}]),
        ("select name from pg_settings where name like 'ji\\_'", []),
        ("select name from pg_settings where name like 'bytea\\_%'", [{"name": "bytea_output"}]),
        ("select name from pg_settings where name like ''", []),
    ],
)  # fmt: skip
def test_select_is_answered(
    bench: Bench, sql: str, expected: list[dict[str, object]] | None
) -> None:
    if expected is None:
        with pytest.raises(ClientError, match="this SELECT"):
            bench.plan(sql)
    else:
        assert bench.show(sql) == expected


def test_columns_have_postgresqls_names_and_types(bench: Bench) -> None:
    plan = bench.plan(
        "select *, pg_is_in_recovery(), pg_backend_pid() p, version() from pg_database"
    )
    assert [(column.name, column.type) for column in plan.columns] == [
        ("oid", OID),
        ("datname", NAME),
        ("encoding", INT4),
        ("datistemplate", BOOL),
        ("datallowconn", BOOL),
        ("pg_is_in_recovery", BOOL),
        ("p", INT4),
        ("version", TEXT),
    ]


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message"),
    [
        ("SELECT", "0A000", "this SELECT"),
        ("SELECT *", "0A000", "this SELECT"),
        ("SELECT 1 +", "0A000", "this SELECT"),
        ("SELECT 1 2", "0A000", "this SELECT"),
        ("SELECT 1.5", "0A000", "this SELECT"),
        ("SELECT 4294967296", "0A000", "this SELECT"),
        ("SELECT $1", "0A000", "this SELECT"),
        ("SELECT 1 ORDER BY 1", "0A000", "this SELECT"),
        ("SELECT 1 FROM pg_settings WHERE name = 'a' OR true", "0A000", "this SELECT"),
        ("SELECT 1 LIMIT x", "0A000", "this SELECT"),
        ("SELECT 1 AS", "0A000", "this SELECT"),
        ("SELECT * FROM pg_class", "0A000", 'SELECT from "pg_class" is not supported'),
        ("SELECT 1 FROM pg_settings()", "0A000", 'SELECT from "pg_settings"'),
        ("SELECT now()", "0A000", 'function "now" is not supported'),
        ("SELECT public.version()", "0A000", 'function "public.version"'),
        ("SELECT version(1)", "0A000", 'function "version" with 1 arguments'),
        ("SELECT x", "42703", 'column "x" does not exist'),
        ("SELECT a.name FROM pg_settings b", "42703", 'column "a.name"'),
        ("SELECT current_setting('x')", "42704", 'unrecognized configuration parameter "x"'),
        ("SELECT set_config('x', '1', false)", "42704", "unrecognized"),
        ("SELECT set_config('server_version', '1', false)", "0A000", 'SET of "server_version"'),
        ("SELECT set_config('jit', '" + "x" * 1001 + "', false)", "22023", "longer than 1000"),
        ("SELECT 1 WHERE 'ab' LIKE '%b'", "0A000", "LIKE with a %"),
        ("SELECT " + "lower(" * 5000, "0A000", "this SELECT"),
        ("SELECT 1 WHERE " + "NOT " * 5000, "0A000", "this SELECT"),
    ],
)  # fmt: skip
def test_what_is_beyond_is_refused(bench: Bench, sql: str, sqlstate: str, message: str) -> None:
    with pytest.raises(ClientError) as caught:
        list(bench.execute(sql).rows)
    assert (caught.value.severity, caught.value.sqlstate) == ("ERROR", sqlstate)
    assert message in caught.value.message


def test_what_is_set_is_shown_until_it_is_reset(bench: Bench) -> None:
    def value() -> object:
        [row] = bench.show("SHOW application_name")
        return row["application_name"]

    assert value() == "psql"  # of the startup packet
    bench.execute("SET application_name = 'shop'")
    assert value() == "shop"
    assert bench.show("SELECT current_setting('application_name') a") == [{"a": "shop"}]
    bench.execute("SET LOCAL application_name TO other")
    assert value() == "shop"
    bench.execute("RESET application_name")
    assert value() == "psql"
    assert bench.show("SELECT set_config('application_name', 'c', false)") == [{"set_config": "c"}]
    assert value() == "c"
    bench.show("SELECT set_config('application_name', 'd', true)")
    assert value() == "c"
    bench.execute("SET application_name TO DEFAULT")
    assert value() == "psql"
    bench.execute("SET search_path = a, b")
    assert bench.show("SHOW search_path") == [{"search_path": "a, b"}]
    bench.execute("DISCARD ALL")
    assert bench.show("SHOW search_path") == [{"search_path": ""}]


def test_nothing_is_set_by_describing_it(bench: Bench) -> None:
    bench.plan("SET application_name = 'shop'")
    bench.plan("SELECT set_config('application_name', 'shop', false)")
    assert bench.speaker.setting("application_name") == "psql"


def test_show_all_has_every_setting(bench: Bench) -> None:
    found = {row["name"]: row["setting"] for row in bench.show("SHOW ALL")}
    assert found["DateStyle"] == "ISO"
    assert found["application_name"] == "psql"
    assert found["client_encoding"] == "UTF8"  # though another was asked for
    assert found["is_superuser"] == "on"  # what pgcli looks for


_WORDS = (*FUNCTIONS, *WORDS, *LITERALS, *(name for name, _ in RELATIONS))
_OTHERS = ("as", "from", "where", "and", "not", "in", "like", "limit", "(", ")", ",", ".", "*", "=")
_VALUES = ("1", "'x'", "'po%'", "name", "datname", "a", '"a"', "$")


@given(st.lists(st.sampled_from((*_WORDS, *_OTHERS, *_VALUES)), max_size=15).map(" ".join))
def test_junk_gives_rows_or_a_client_error(bench: Bench, sql: str) -> None:
    with suppress(ClientError):
        result = bench.execute(f"SELECT {sql}")
        assert all(len(row) == len(result.columns) for row in result.rows)
