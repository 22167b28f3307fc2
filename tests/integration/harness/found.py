"""Users that no configuration names, and a PostgreSQL that tells about them.

It asks as PgBouncer's documentation recommends: a user without rights calls a SECURITY DEFINER
function that reads pg_authid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.integration.harness.pooler import Connection, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.programs import PASSWORD
from tests.integration.harness.wire import Wire

QUERY = "select passwd, startup_parameters from look_up($1)"
ROLES = ("asker", "ann", "bob", "old_md5", "nobody")
MD5_TOO = "local all all md5\nhost all all 127.0.0.1/32 md5\n"

_FUNCTION = """
create function look_up(name text, out passwd text, out startup_parameters text)
returns setof record language sql security definer set search_path = pg_catalog as $$
    select case when rolvaliduntil < now() then null else rolpassword end,
           (select settings from public.settings_of where rolname = name)
    from pg_authid where rolname = name and rolcanlogin
$$;
revoke all on function look_up(text) from public;
grant execute on function look_up(text) to asker;
"""


@contextmanager
def users_to_find(pg: PostgreSQL) -> Iterator[None]:
    """Make the roles, and what can be asked about them, for the time of a test."""
    for role in ROLES:
        pg.sql(f"create role {role} login password '{PASSWORD}'")
    pg.sql(f"set password_encryption = md5; alter role old_md5 password '{PASSWORD}'")
    pg.sql("alter role nobody password null")
    pg.sql("create table settings_of (rolname name primary key, settings text)", database="app")
    pg.sql(_FUNCTION, database="app")
    try:
        yield
    finally:
        if not pg.is_running:
            pg.start()
        pg.set_hba()
        pg.terminate()
        pg.sql("drop function look_up(text); drop table settings_of", database="app")
        for role in ROLES:
            pg.sql(f"drop role if exists {role}")


def asking(
    pool: Mapping[str, object] | None = None, /, **auth_query: object
) -> dict[str, dict[str, object]]:
    """Compose the pool `app`, which looks up all users but `app`."""
    settings = {"query": QUERY, "user": "asker", "password": PASSWORD, **auth_query}
    return {"app": {"users": [user()], "auth_query": settings, **(pool or {})}}


def log_in(pooler: Pooler, name: str, password: str = PASSWORD, **options: Any) -> Connection:
    return pooler.connect(name, password=password, **options)


def whoami(connection: Connection) -> str:
    return value(connection, "select current_user::text")


def value(connection: Connection, sql: str) -> str:
    """Return the one value that a query gives."""
    row = connection.execute(sql.encode()).fetchone()
    assert row is not None
    return str(row[0])


def refusal(pooler: Pooler, name: str, password: str = PASSWORD) -> str:
    """Return what a login is told that is refused; nothing if it is let in."""
    try:
        log_in(pooler, name, password).close()
    except psycopg.OperationalError as exc:
        return str(exc).strip().partition("FATAL:  ")[2]
    return ""


def refusal_code(pooler: Pooler, name: str) -> str:
    """Return the SQLSTATE of a refusal; nothing if the user is let in."""
    with Wire.connect(pooler.host, pooler.port) as wire:
        try:
            wire.login(name)
        except AssertionError as exc:
            return str(exc)
    return ""


def wrong_password(name: str) -> str:
    return f'password authentication failed for user "{name}"'


def pools_of(pooler: Pooler) -> dict[str, dict[str, Any]]:
    """Return the rows of SHOW POOLS for the database `app`, by user."""
    return {row["user"]: row for row in pooler.admin("show pools") if row["database"] == "app"}


def counts(pooler: Pooler) -> dict[str, Any]:
    """Return the one row of SHOW AUTH_QUERY."""
    [row] = pooler.admin("show auth_query")
    return row
