"""What tools say when they connect, as recorded, by the simple and the extended protocol.

Each gets an answer of the right shape, or an error by name that leaves the connection as it was.
"""

from __future__ import annotations

import psycopg
import pytest
from psycopg import ClientCursor

from tests.unit.admin.conftest import Server

BOOL, NAME, INT4, TEXT, OID = 16, 19, 23, 25, 26
UNSUPPORTED = "0A000"

Answer = tuple[tuple[str, int], ...]
"""Columns of the last answer, with their types; () for a command."""

PGADMIN_DATABASE = """
SELECT
    db.oid as did, db.datname, db.datallowconn,
    pg_encoding_to_char(db.encoding) AS serverencoding,
    has_database_privilege(db.oid, 'CREATE') as cancreate,
    datistemplate
FROM
    pg_catalog.pg_database db
WHERE db.datname = current_database()"""
PGADMIN_ROLE = """
SELECT roles.oid as id, roles.rolname as name, roles.rolsuper as is_superuser,
    CASE WHEN roles.rolsuper THEN true ELSE roles.rolcreaterole END as can_create_role
FROM pg_catalog.pg_roles as roles WHERE rolname = current_user"""
PSQL_SHOW = """SELECT pg_catalog.lower(name) FROM pg_catalog.pg_settings
 WHERE pg_catalog.lower(name) LIKE pg_catalog.lower('po%')
LIMIT 1000"""
PSQL_LIST = """SELECT d.datname as "Name", pg_catalog.pg_get_userbyid(d.datdba) as "Owner"
FROM pg_catalog.pg_database d ORDER BY 1;"""

SAID: dict[str, list[tuple[str, Answer | str]]] = {
    "pgAdmin": [
        (
            "SET DateStyle=ISO; SET client_min_messages=notice; "
            "SELECT set_config('bytea_output','hex',false) FROM pg_show_all_settings()"
            " WHERE name = 'bytea_output'; SET client_encoding='utf-8';",
            (),
        ),
        (
            "SELECT set_config('bytea_output','hex',false) FROM pg_settings"
            " WHERE name = 'bytea_output'",
            (("set_config", TEXT),),
        ),
        ("SELECT version()", (("version", TEXT),)),
        (
            PGADMIN_DATABASE,
            (
                ("did", OID),
                ("datname", NAME),
                ("datallowconn", BOOL),
                ("serverencoding", NAME),
                ("cancreate", BOOL),
                ("datistemplate", BOOL),
            ),
        ),
        (PGADMIN_ROLE, UNSUPPORTED),
    ],
    "DBeaver": [
        ("SET extra_float_digits = 3", ()),
        ("SET application_name = 'DBeaver 24.1.0 - Main <greenpool>'", ()),
        ("SELECT current_database()", (("current_database", NAME),)),
        (
            "SELECT current_schema(),session_user",
            (("current_schema", NAME), ("session_user", NAME)),
        ),
        ("SHOW search_path", (("search_path", TEXT),)),
        ("SELECT n.oid,n.*,d.description FROM pg_catalog.pg_namespace n", UNSUPPORTED),
        ("select string_agg(word, ',') from pg_get_keywords()", UNSUPPORTED),
    ],
    "DataGrip": [
        ("SHOW TRANSACTION ISOLATION LEVEL", (("transaction_isolation", TEXT),)),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", ()),
        ("select current_database() as a, current_schemas(false) as b", UNSUPPORTED),
    ],
    "psql": [
        (PSQL_SHOW, (("lower", TEXT),)),
        (PSQL_LIST, UNSUPPORTED),
        ("SELECT c.relname FROM pg_catalog.pg_class c ORDER BY 1", UNSUPPORTED),
    ],
    "pgcli": [("SHOW ALL", (("name", TEXT), ("setting", TEXT), ("description", TEXT)))],
    "pgwatch": [("SET lock_timeout TO '100ms';show version", (("version", TEXT),))],
    "libpq": [
        ("SHOW transaction_read_only", (("transaction_read_only", TEXT),)),
        ("SELECT pg_catalog.pg_is_in_recovery()", (("pg_is_in_recovery", BOOL),)),
    ],
    "asyncpg": [
        (
            "SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new",
            (("cur", TEXT), ("new", TEXT)),
        ),
        ("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;", ()),
    ],
    "SQLAlchemy": [
        ("select pg_catalog.version()", (("version", TEXT),)),
        ("select current_schema()", (("current_schema", NAME),)),
        ("show standard_conforming_strings", (("standard_conforming_strings", TEXT),)),
    ],
}


@pytest.mark.parametrize("is_simple", [True, False])
@pytest.mark.parametrize("tool", SAID)
def test_what_tools_say_is_answered(server: Server, tool: str, is_simple: bool) -> None:
    factory = ClientCursor if is_simple else None
    with psycopg.connect(server.dsn, autocommit=True, cursor_factory=factory) as connection:
        for sql, expected in SAID[tool]:
            if ";" in sql.rstrip(";") and not is_simple:
                continue  # several statements are the simple protocol's alone
            assert answer(connection, sql) == expected, sql
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_values_are_those_of_the_console(server: Server) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        for binary in (False, True):
            cursor = connection.execute(PGADMIN_DATABASE, binary=binary)
            assert cursor.fetchall() == [(1, "greenpool", True, "UTF8", False, False)]
            assert cursor.statusmessage == "SELECT 1"
        names = [name for (name,) in connection.execute(PSQL_SHOW).fetchall()]
        assert {"pools", "pools_extended", "pool_scaling"} <= set(names)
        assert all(name.startswith("po") for name in names)
        settable = connection.execute(
            "SELECT name FROM pg_settings WHERE context IN ('user', 'superuser')"
        ).fetchall()
        assert {("log_level",), ("application_name",)} <= set(settable)
        assert not {("port",), ("pools",)} & set(settable)


def answer(connection: psycopg.Connection, sql: str) -> Answer | str:
    """Say something; return what the last answer looks like, or the SQLSTATE of an error."""
    try:
        cursor = connection.execute(sql)
    except psycopg.Error as error:
        return error.sqlstate or ""
    while cursor.nextset():
        pass
    return tuple((column.name, column.type_code) for column in cursor.description or ())
