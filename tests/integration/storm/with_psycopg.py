"""What psycopg's clients do in a storm."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from itertools import count
from typing import Any

import psycopg

from tests.integration.storm.client import Part, Turns

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
Kind = Callable[[Connection], Turns]


async def join(kind: Kind, dsn: str) -> Part:
    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    name = f"psycopg's {kind.__name__}"
    close, abort = connection.close, connection.pgconn.finish
    return Part(name, _port(connection), kind(connection), close, abort)


def _port(connection: Connection) -> int:
    with socket.socket(fileno=os.dup(connection.fileno())) as sock:
        port: int = sock.getsockname()[1]
        return port


async def one(connection: Connection, query: str, *parameters: Any) -> tuple[Any, ...] | None:
    return await (await connection.execute(query, parameters or None)).fetchone()


async def prepared(connection: Connection) -> Turns:
    """Execute a statement that is prepared once."""
    connection.prepare_threshold = 0
    for n in count():
        assert await one(connection, "select %s::int8 + 1", n) == (n + 1,)
        yield


async def recording(connection: Connection) -> Turns:
    """Record each turn in the table that all share."""
    port = _port(connection)
    for n in count():
        cursor = await connection.execute("insert into ledger values (default, %s, %s)", [port, n])
        assert cursor.rowcount == 1
        yield


async def in_transaction(connection: Connection) -> Turns:
    """Have a transaction open for all of the storm."""
    await connection.set_autocommit(False)
    await connection.execute("create temp table mine (n int) on commit drop")
    backend = await one(connection, "select pg_backend_pid()")
    for n in count(1):
        await connection.execute("insert into mine values (1)")
        assert await one(connection, "select count(*) from mine") == (n,)
        assert await one(connection, "select pg_backend_pid()") == backend
        yield


async def alone(connection: Connection) -> Turns:
    """Come back to the same backend, and to what was prepared there before.

    It shares the servers of its pool with nobody, and leaves them idle in between.
    """
    connection.prepare_threshold = 0
    found = """select pg_backend_pid(), array_agg(prepare_time::text)
        from pg_prepared_statements where statement = 'select $1::int8 + 2'"""
    before: tuple[Any, ...] | None = None
    for n in count():
        assert await one(connection, "select %s::int8 + 2", n % 1000) == (n % 1000 + 2,)
        now = await one(connection, found)
        assert now is not None
        assert len(now[1]) == 1
        assert now == (before or now)
        before = now
        yield


async def pinned(connection: Connection) -> Turns:
    """Listen, and keep a temporary table and a setting of its own."""
    heard: list[str] = []
    connection.add_notify_handler(lambda notify: heard.append(notify.payload))
    channel = f"of_{connection.info.backend_pid}"
    await connection.execute("create temp table mine (n int); set work_mem = '77kB'")
    await connection.execute(f"listen {channel}")
    backend = await one(connection, "select pg_backend_pid()")
    for n in count():
        await connection.execute("select pg_notify(%s, %s)", [channel, str(n)])
        assert await one(connection, "select pg_backend_pid(), count(*) from mine") == (
            *(backend or ()),
            0,
        )
        assert await one(connection, "show work_mem") == ("77kB",)
        assert heard == [str(each) for each in range(n + 1)]
        yield


async def copying_in(connection: Connection) -> Turns:
    """Stream rows to PostgreSQL: none is lost, none comes twice."""
    await connection.set_autocommit(False)
    while True:
        await connection.execute("create temp table copied (n int) on commit drop")
        async with connection.cursor() as cursor, cursor.copy("copy copied from stdin") as copy:
            for n in range(500):
                await copy.write_row((n,))
                if n % 100 == 0:
                    await asyncio.sleep(0.01)
        assert await one(connection, "select count(*), sum(n) from copied") == (500, 124750)
        await connection.rollback()
        yield


async def copying_out(connection: Connection) -> Turns:
    """Stream large rows from PostgreSQL."""
    query = "copy (select repeat('x', 30000), n from generate_series(1, 20) n) to stdout"
    expected = b"".join(b"%s\t%d\n" % (b"x" * 30000, n) for n in range(1, 21))
    while True:
        async with connection.cursor() as cursor, cursor.copy(query) as copy:
            assert b"".join([bytes(part) async for part in copy]) == expected
        yield


async def pipelining(connection: Connection) -> Turns:
    """Ask before the answers have come."""
    while True:
        async with connection.pipeline():
            cursors = [await connection.execute("select %s::int", [n]) for n in range(20)]
        assert [await each.fetchone() for each in cursors] == [(n,) for n in range(20)]
        yield


KINDS: tuple[Kind, ...] = (
    *(prepared, recording, in_transaction, pinned, copying_in, copying_out, pipelining),
)
