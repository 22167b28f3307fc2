"""The Python drivers through the pool: what every application does on its first day.

In transaction mode a statement that is prepared in one transaction and executed in another does
not work yet, so psycopg is told not to prepare and asyncpg works inside transactions there; in
session mode each driver runs with its own defaults.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import asyncpg
import pg8000.dbapi
import psycopg
import psycopg2
import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.programs import PASSWORD

ROWS = 5000


def _psycopg(pooler: Pooler, database: str) -> Any:
    return psycopg.connect(pooler.dsn(database=database), prepare_threshold=None)


def _psycopg2(pooler: Pooler, database: str) -> Any:
    return psycopg2.connect(pooler.dsn(database=database))


def _pg8000(pooler: Pooler, database: str) -> Any:
    return pg8000.dbapi.connect(
        user="app", password=PASSWORD, host=pooler.host, port=pooler.port, database=database
    )


DB_API = pytest.mark.parametrize(
    "connect", [_psycopg, _psycopg2, _pg8000], ids=["psycopg", "psycopg2", "pg8000"]
)
Connect = Callable[[Pooler, str], Any]


@DB_API
def test_values_survive_the_journey(pooler: Pooler, connect: Connect) -> None:
    with closing(connect(pooler, "app")) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "select %s::int, %s::text, %s::text, %s::bytea, %s::bool",
            (42, "grün ✓", None, b"\x00\xff", True),
        )
        number, text, nothing, data, flag = cursor.fetchone()
        assert (number, text, nothing, bytes(data), flag) == (42, "grün ✓", None, b"\x00\xff", True)
        cursor.execute("select n, repeat('x', 200) from generate_series(1, %s) n", (ROWS,))
        rows = cursor.fetchall()
        assert [row[0] for row in rows] == list(range(1, ROWS + 1))


@DB_API
def test_transactions_commit_and_roll_back(
    make_pooler: MakePooler, database: str, connect: Connect
) -> None:
    pooler = make_pooler(pools={database: {}})
    with closing(connect(pooler, database)) as one, closing(connect(pooler, database)) as other:
        first, second = one.cursor(), other.cursor()
        first.execute("create table t (a int primary key)")
        one.commit()
        first.execute("insert into t values (%s)", (1,))
        second.execute("select count(*) from t")
        assert tuple(second.fetchone()) == (0,)
        other.rollback()
        one.commit()
        second.execute("select count(*) from t")
        assert tuple(second.fetchone()) == (1,)
        first.execute("insert into t values (%s)", (2,))
        one.rollback()
        first.execute("select array_agg(a) from t")
        assert first.fetchone()[0] == [1]


@DB_API
def test_error_has_its_sqlstate_and_leaves_the_connection_usable(
    pooler: Pooler, connect: Connect
) -> None:
    with closing(connect(pooler, "app")) as connection:
        cursor = connection.cursor()
        for _ in range(3):
            with pytest.raises(Exception, match="division by zero") as raised:
                cursor.execute("select 1 / %s", (0,))
            assert _sqlstate(raised.value) == "22012"
            connection.rollback()
            cursor.execute("select %s::int", (7,))
            assert tuple(cursor.fetchone()) == (7,)
            connection.commit()


def test_more_clients_than_servers(make_pooler: MakePooler, workers: int) -> None:
    pooler = make_pooler(workers, pools={"app": {"users": [user(pool_size=3)]}})
    connections = [pooler.connect(prepare_threshold=None) for _ in range(30)]
    for _ in range(5):
        answers = [each.execute("select 1").fetchall() for each in connections]
        assert answers == [[(1,)]] * 30
    assert 1 <= len(pooler.pg.backends(user="app")) <= 3
    for each in connections:
        each.close()


def test_psycopg_copies_pipelines_and_scrolls(pooler: Pooler) -> None:
    with pooler.connect(prepare_threshold=None, autocommit=False) as connection:
        connection.execute("create temp table t (a int, b text) on commit drop")
        with connection.cursor().copy("copy t from stdin") as copy:
            for number in range(ROWS):
                copy.write_row((number, "x" * 50))
        with connection.cursor().copy("copy (select a from t order by a) to stdout") as copy:
            assert [int(row[0]) for row in copy.rows()] == list(range(ROWS))
        with connection.cursor("portal") as cursor:
            cursor.itersize = 100
            cursor.execute("select a from t order by a")
            assert sum(1 for _ in cursor) == ROWS
        connection.commit()
        with connection.pipeline():
            cursors = [connection.execute("select %s::int", (n,)) for n in range(20)]
            assert [cursor.fetchone() for cursor in cursors] == [(n,) for n in range(20)]


def test_psycopg2_copies(pooler: Pooler) -> None:
    with closing(psycopg2.connect(pooler.dsn())) as connection, connection.cursor() as cursor:
        cursor.execute("create temp table t (a int) on commit drop")
        cursor.copy_from(io.StringIO("".join(f"{n}\n" for n in range(ROWS))), "t")
        out = io.StringIO()
        cursor.copy_expert("copy (select a from t order by a) to stdout", out)
        assert out.getvalue().split() == [str(n) for n in range(ROWS)]
        connection.rollback()


def test_drivers_prepare_in_session_mode(make_pooler: MakePooler) -> None:
    pooler = make_pooler(pools={"app": {"pool_mode": "session"}})
    with pooler.connect(prepare_threshold=0) as connection:
        for number in range(10):
            assert connection.execute("select %s::int", (number,)).fetchone() == (number,)
    with closing(_pg8000(pooler, "app")) as connection:
        prepared = connection.cursor()
        for number in range(10):
            prepared.execute("select cast(%s as int)", (number,))
            assert prepared.fetchone()[0] == number

    async def prepare(connection: asyncpg.Connection) -> None:
        statement = await connection.prepare("select $1::int * 2")
        assert [await statement.fetchval(n) for n in range(10)] == [n * 2 for n in range(10)]
        assert await connection.fetchval("select $1::text", "cached") == "cached"
        assert await connection.fetchval("select $1::text", "cached") == "cached"

    _with_asyncpg(pooler, prepare)


def test_asyncpg_in_transactions(pooler: Pooler) -> None:
    async def work(connection: asyncpg.Connection) -> None:
        assert await connection.execute("select 1") == "SELECT 1"
        async with connection.transaction():
            row = await connection.fetchrow("select $1::int as a, $2::text as b", 42, None)
            assert tuple(row) == (42, None)
            await connection.execute("create temp table t (a int) on commit drop")
            records = [(number,) for number in range(ROWS)]
            assert await connection.copy_records_to_table("t", records=records) == f"COPY {ROWS}"
            assert await connection.fetchval("select count(*) from t") == ROWS
            seen = [row["a"] async for row in connection.cursor("select a from t order by a")]
            assert seen == list(range(ROWS))
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with connection.transaction():
                await connection.fetchval("select 1 / $1::int", 0)
        assert await connection.execute("select 1") == "SELECT 1"

    _with_asyncpg(pooler, work, statement_cache_size=0)


def test_asyncpg_cancels_what_takes_too_long(pooler: Pooler) -> None:
    async def work(connection: asyncpg.Connection) -> None:
        with pytest.raises(TimeoutError):
            await connection.execute("select pg_sleep(30)", timeout=0.2)
        assert await connection.execute("select 1") == "SELECT 1"

    _with_asyncpg(pooler, work, statement_cache_size=0)


def _with_asyncpg(
    pooler: Pooler, work: Callable[[asyncpg.Connection], Awaitable[None]], **options: Any
) -> None:
    async def connected() -> None:
        connection = await asyncpg.connect(pooler.dsn(), timeout=10, **options)
        try:
            await work(connection)
        finally:
            await connection.close(timeout=10)

    asyncio.run(connected())


def _sqlstate(error: Exception) -> str:
    """Find the SQLSTATE where each driver keeps it: sqlstate, pgcode, or the fields as args."""
    if isinstance(error, psycopg.Error):
        return str(error.sqlstate)
    if isinstance(error, psycopg2.Error):
        return str(error.pgcode)
    return str(error.args[0]["C"])
