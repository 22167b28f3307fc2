"""The console as drivers and psql see it, over a real socket; the login here is a stub."""

from __future__ import annotations

import asyncio
import shutil
import subprocess

import asyncpg
import pg8000.native
import psycopg
import psycopg2
import pytest
from psycopg.rows import dict_row

from greenpool import __version__
from tests.unit.admin.conftest import HOST, Server
from tests.unit.admin.samples import pool

USERS = ["alice", "bob", "alice"]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("autocommit", [False, True])
def test_psycopg(server: Server, autocommit: bool, binary: bool) -> None:
    with psycopg.connect(server.dsn, autocommit=autocommit) as connection:
        for _ in range(10):  # from the sixth on as a named prepared statement
            cursor = connection.execute("SHOW POOLS", binary=binary)
            rows = cursor.fetchall()
            assert [row[1] for row in rows] == USERS
            assert rows[0][2] == 3
        with pytest.raises(psycopg.errors.SyntaxError, match="Did you mean SHOW POOLS"):
            connection.execute("SHOW POLS")
        connection.rollback()
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("number", [0, 1, 9999, 10_000, 10_000_000, 123_456_789, -40_000, 1 << 62])
def test_numeric_is_read_as_it_was_meant(server: Server, number: int) -> None:
    server.bench.segment.pools = [pool(query_count=number)]
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        for binary in (False, True):
            cursor = connection.cursor(binary=binary, row_factory=dict_row)
            (row,) = cursor.execute("SHOW STATS").fetchall()
            assert row["total_query_count"] == number


def test_psycopg_pipeline_and_transaction(server: Server) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        with connection.transaction(), connection.pipeline():
            first = connection.execute("SHOW VERSION")
            second = connection.execute("SHOW POOLS")
        assert first.fetchone() == (f"greenpool {__version__}",)
        assert len(second.fetchall()) == 3


def test_psycopg2(server: Server) -> None:
    connection = psycopg2.connect(server.dsn)
    cursor = connection.cursor()
    cursor.execute("SHOW POOLS")
    assert [row[1] for row in cursor.fetchall()] == USERS
    with pytest.raises(psycopg2.errors.FeatureNotSupported, match='SELECT from "pg_class"'):
        cursor.execute("SELECT * FROM pg_class")
    connection.rollback()
    cursor.execute("RELOAD")
    connection.commit()
    connection.close()
    assert server.bench.commands == ["reload"]


def test_asyncpg(server: Server) -> None:
    async def run() -> None:
        pool = await asyncpg.create_pool(
            host=HOST, port=server.port, user="admin", database="greenpool", min_size=1, max_size=1
        )
        async with pool, pool.acquire() as connection:
            for _ in range(2):
                rows = await connection.fetch("SHOW POOLS")
                assert [row["user"] for row in rows] == USERS
                assert rows[0]["cl_active"] == 3
            with pytest.raises(asyncpg.PostgresSyntaxError):
                await connection.fetch("SHOW POLS")
            async with connection.transaction():
                assert await connection.fetchval("SELECT 1") == 1

    asyncio.run(run())


def test_pg8000(server: Server) -> None:
    connection = pg8000.native.Connection("admin", HOST, "greenpool", server.port, timeout=10)
    assert [row[1] for row in connection.run("SHOW POOLS")] == USERS
    with pytest.raises(pg8000.native.DatabaseError, match="42601"):
        connection.run("SHOW POLS")
    connection.close()


@pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed")
def test_psql(server: Server) -> None:
    script = "-- look\nSHOW VERSION; SHOW USERS;\nSHOW POLS;\nselect 1 \\; show version;\n"
    done = subprocess.run(
        ["psql", "-XAtq", server.dsn], input=script, capture_output=True, text=True, timeout=20
    )
    assert done.stdout.splitlines() == [
        f"greenpool {__version__}",
        "alice|10|0|transaction|0|5|0|4",
        "bob|5|0|session|0|0|0|0",
        "1",
        f"greenpool {__version__}",
    ]
    assert 'ERROR:  unrecognized command "SHOW POLS"' in done.stderr
    assert "HINT:  Did you mean SHOW POOLS? SHOW HELP lists the commands." in done.stderr
