"""What asyncpg's clients do in a storm: its own protocol code, binary values, and portals."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import count

import asyncpg

from tests.integration.storm.client import Part, Turns

Kind = Callable[[asyncpg.Connection], Turns]


async def join(kind: Kind, dsn: str) -> Part:
    connection = await asyncpg.connect(dsn, timeout=60)
    name = f"asyncpg's {kind.__name__}"
    close, abort = connection.close, connection.terminate
    return Part(name, _port(connection), kind(connection), close, abort)


def _port(connection: asyncpg.Connection) -> int:
    port: int = connection._transport.get_extra_info("sockname")[1]
    return port


async def prepared(connection: asyncpg.Connection) -> Turns:
    """Execute a statement that is prepared once."""
    statement = await connection.prepare("select $1::int8 + 1")
    for n in count():
        assert await statement.fetchval(n) == n + 1
        yield


async def recording(connection: asyncpg.Connection) -> Turns:
    """Record each turn in the table that all share."""
    port = _port(connection)
    for n in count():
        done = await connection.execute("insert into ledger values (default, $1, $2)", port, n)
        assert done == "INSERT 0 1"
        yield


async def in_transaction(connection: asyncpg.Connection) -> Turns:
    """Have a transaction open for all of the storm, and a portal that is never read to its end."""
    async with connection.transaction():
        await connection.execute("create temp table mine (n int) on commit drop")
        backend = await connection.fetchval("select pg_backend_pid()")
        portal = await connection.cursor("select generate_series(0, 1000000)")
        for n in count():
            await connection.execute("insert into mine values ($1)", n)
            assert await connection.fetchval("select count(*) from mine") == n + 1
            assert await connection.fetchval("select pg_backend_pid()") == backend
            assert await portal.fetchrow() == (n,)
            yield


async def pinned(connection: asyncpg.Connection) -> Turns:
    """Listen, and keep a setting of its own."""
    heard: list[str] = []

    def hear(_connection: object, _pid: int, _channel: str, payload: str) -> None:
        heard.append(payload)

    channel = f"of_{_port(connection)}"
    await connection.add_listener(channel, hear)
    await connection.execute("set work_mem = '77kB'")
    for n in count():
        await connection.execute("select pg_notify($1, $2)", channel, str(n))
        assert await connection.fetchval("show work_mem") == "77kB"
        assert heard == [str(each) for each in range(n + 1)]
        yield


async def copying(connection: asyncpg.Connection) -> Turns:
    """Stream rows to PostgreSQL and back."""
    rows = [(n, "x" * 100) for n in range(2000)]
    expected = b"".join(b"%d\t%s\n" % (n, b"x" * 100) for n, _ in rows)
    while True:
        async with connection.transaction():
            await connection.execute("create temp table copied (n int, t text) on commit drop")
            done = await connection.copy_records_to_table("copied", records=rows)
            assert done == "COPY 2000"
            output = io.BytesIO()
            await connection.copy_from_query("select * from copied order by n", output=output)
            assert output.getvalue() == expected
        yield


KINDS: tuple[Kind, ...] = (prepared, recording, in_transaction, pinned, copying)
