"""Upgrades, reloads and killed workers under clients who do all that cannot be interrupted.

Every client checks every answer. An upgrade or a reload disturbs nobody; a worker that is killed
takes its own clients along and no other. Half of the clients speak TLS.

GREENPOOL_UPGRADE_STORM says how often each of the three happens (2: half a minute); with 20 it is
the storm for a release, with five times as many clients.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import count
from typing import Any

import psycopg
import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.postgres import MAJORS
from tests.integration.harness.tls import House
from tests.integration.harness.waiting import wait_for

# Nothing here depends on the version of PostgreSQL.
pytestmark = [
    pytest.mark.parametrize("_server", MAJORS[-1:], indirect=True),
    pytest.mark.slow,
]

TIMES = int(os.environ.get("GREENPOOL_UPGRADE_STORM", "2"))
IS_LONG = TIMES > 2
OF_A_KIND = 10 if IS_LONG else 2
"""Of each kind, with TLS and without: pinned ones and those in transactions have a server each."""
SERVERS = 4 * OF_A_KIND + 8
PATIENCE_S = 60.0

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
Turns = AsyncGenerator[None, None]
Kind = Callable[[Connection], Turns]


async def one(connection: Connection, query: str, *parameters: Any) -> tuple[Any, ...] | None:
    return await (await connection.execute(query, parameters or None)).fetchone()


async def prepared(connection: Connection) -> Turns:
    """Execute a statement that is prepared once."""
    connection.prepare_threshold = 0
    for n in count():
        assert await one(connection, "select %s::int8 + 1", n) == (n + 1,)
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
            for n in range(2000):
                await copy.write_row((n,))
                if n % 500 == 0:
                    await asyncio.sleep(0.01)
        assert await one(connection, "select count(*), sum(n) from copied") == (2000, 1999000)
        await connection.rollback()
        yield


async def copying_out(connection: Connection) -> Turns:
    """Stream rows from PostgreSQL, more than fit into sockets."""
    query = "copy (select repeat('x', 900), n from generate_series(1, 2000) n) to stdout"
    expected = b"".join(b"%s\t%d\n" % (b"x" * 900, n) for n in range(1, 2001))
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


KINDS: tuple[Kind, ...] = (prepared, in_transaction, pinned, copying_in, copying_out, pipelining)


class Client:
    """One connection that does one thing again and again, until `end` or its first failure."""

    def __init__(self, kind: Kind, connection: Connection) -> None:
        self.turns = 0
        self.slowest_s = 0.0
        self.failure: BaseException | None = None
        self._kind = kind
        self._connection = connection
        with socket.socket(fileno=os.dup(connection.fileno())) as sock:
            self.port: int = sock.getsockname()[1]
        self._is_ending = False
        self._task = asyncio.create_task(self._run())

    def __repr__(self) -> str:
        return f"{self._kind.__name__} on port {self.port}: {self.failure!r}"

    async def end(self) -> None:
        self._is_ending = True
        await self._task

    async def _run(self) -> None:
        try:
            async with aclosing(self._kind(self._connection)) as turns:
                while not self._is_ending:
                    began = time.monotonic()
                    await anext(turns)
                    self.turns += 1
                    self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                    await asyncio.sleep(0.01)
        except (psycopg.Error, AssertionError) as exc:
            self.failure = exc
        finally:
            await self._connection.close()


async def connect(pooler: Pooler, kind: Kind, sslmode: str) -> Client:
    dsn = pooler.dsn(sslmode=sslmode)
    return Client(kind, await psycopg.AsyncConnection.connect(dsn, autocommit=True))


async def until(look: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait_for, look, what, PATIENCE_S)


async def all_go_on(clients: list[Client]) -> None:
    """Wait until each has been answered twice more; fail when one has failed."""
    before = {each: each.turns for each in clients}
    await until(
        lambda: all(each.failure or each.turns >= before[each] + 2 for each in clients),
        "everyone is answered",
    )
    assert not [each for each in clients if each.failure]


async def upgrade_and_reload(pooler: Pooler, turn: int) -> None:
    done = await asyncio.to_thread(pooler.upgrade)
    assert done.returncode == 0, done.stderr
    users = [user(pool_size=SERVERS + turn % 2)]
    await asyncio.to_thread(pooler.reload, pools={"app": {"users": users}})


async def kill_a_worker(pooler: Pooler, clients: list[Client]) -> list[Client]:
    """Kill it; return the clients that it has not taken along."""
    victim = pooler.worker_pids()[0]
    os.kill(victim, signal.SIGKILL)
    await until(
        lambda: victim not in pooler.worker_pids() and len(pooler.worker_pids()) == pooler.workers,
        "another worker is in its place",
    )
    rows = await asyncio.to_thread(pooler.admin, "show clients")
    ports = {row["port"] for row in rows}
    return [each for each in clients if each.port in ports]


async def storm(pooler: Pooler) -> None:
    clients = [
        await connect(pooler, kind, sslmode)
        for kind in KINDS
        for sslmode in ("disable", "require")
        for _ in range(OF_A_KIND)
    ]
    await all_go_on(clients)
    for turn in range(TIMES):
        await upgrade_and_reload(pooler, turn)
        await all_go_on(clients)
    print(f"slowest of {len(clients)} clients: {max(each.slowest_s for each in clients):.3f} s")
    survivors = clients
    for _ in range(TIMES):
        survivors = await kill_a_worker(pooler, survivors)
        await all_go_on(survivors)
    await asyncio.gather(*(each.end() for each in clients))
    assert not [each for each in survivors if each.failure]


@pytest.mark.timeout(180 * TIMES)
def test_storm_of_upgrades_reloads_and_kills(make_pooler: MakePooler, house: House) -> None:
    pools = {"app": {"users": [user(pool_size=SERVERS)]}}
    pooler = make_pooler(2, pools=pools, **QUIET, **house.settings())
    asyncio.run(storm(pooler))
    wait_for(lambda: not pooler.elders(), "no other generation is left", PATIENCE_S)
    wait_for(lambda: not pooler.pumps(), "no session is left behind", PATIENCE_S)
    wait_for_balance(pooler, 0)
