"""asyncpg with its defaults: a statement cache, a pool of clients before ours, binary values."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from tests.drivers.python import plan
from tests.drivers.python.plan import expect, play, question

Work = Callable[[asyncpg.Connection, random.Random], Awaitable[None]]


async def ask(connection: asyncpg.Connection, asked: plan.Question) -> None:
    row = await connection.fetchrow(asked.text("$1", "$2"), *asked.parameters)
    expect(tuple(row), asked.answer)


def with_clients(work: Work, clients: int = plan.CLIENTS, **options: Any) -> None:
    """Run `work` on that many connections at a time."""

    async def one(client: int) -> None:
        connection = await asyncpg.connect(plan.DSN, timeout=60, **options)
        try:
            await work(connection, random.Random(plan.SEED * 1000 + client))
        finally:
            await connection.close(timeout=20)

    async def everybody() -> None:
        async with asyncio.TaskGroup() as group:
            for client in range(clients):
                group.create_task(one(client))

    asyncio.run(everybody())


async def fail(connection: asyncpg.Connection, rng: random.Random) -> None:
    """Provoke an error that the next query must not feel."""
    try:
        if rng.random() < 0.5:
            await connection.fetchval("select 1 / $1::int", 0)
        else:
            await connection.fetchval("selct $1::int", 0)
    except (asyncpg.DivisionByZeroError, asyncpg.PostgresSyntaxError):
        return
    raise AssertionError("the query did not fail")


async def transact(connection: asyncpg.Connection, rng: random.Random) -> None:
    async with connection.transaction():
        first = await connection.fetchval("select pg_backend_pid()")
        await ask(connection, question(rng))
        try:
            async with connection.transaction():
                await fail(connection, rng)
                await connection.fetchval("select 1")
        except asyncpg.InFailedSQLTransactionError:
            await ask(connection, question(rng))
        expect(await connection.fetchval("select pg_backend_pid()"), first)


def clients_ask_at_random() -> None:
    async def work(connection: asyncpg.Connection, rng: random.Random) -> None:
        for _ in range(plan.QUERIES):
            chance = rng.random()
            if chance < 0.8:
                await ask(connection, question(rng))
            else:
                await (fail if chance < 0.9 else transact)(connection, rng)

    with_clients(work)


def one_name_means_different_texts() -> None:
    async def work(connection: asyncpg.Connection, rng: random.Random) -> None:
        for _ in range(3):
            asked = question(rng, rng.randrange(5000))
            statement = await connection.prepare(asked.text("$1", "$2"), name="mine")
            for _ in range(10):
                again = question(rng, asked.number)
                expect(tuple(await statement.fetchrow(*again.parameters)), again.answer)
            del statement  # asyncpg closes it with the next query that it does not know
            await ask(connection, question(rng, rng.randrange(5000, 10_000)))

    with_clients(work)


def a_pool_of_clients() -> None:
    async def run() -> None:
        rng = random.Random(plan.SEED)

        async def one() -> None:
            async with pool.acquire() as connection:
                await ask(connection, question(rng))

        async with asyncpg.create_pool(plan.DSN, min_size=4, max_size=plan.CLIENTS) as pool:
            await asyncio.gather(*(one() for _ in range(400)))

    asyncio.run(run())


def statements_are_deallocated() -> None:
    """A cache of five lets asyncpg close what it prepared, again and again."""

    async def work(connection: asyncpg.Connection, rng: random.Random) -> None:
        for number in [*range(30), *range(30)]:
            await ask(connection, question(rng, number))
        await connection.execute("deallocate all")
        await connection.reload_schema_state()
        await ask(connection, question(rng))

    with_clients(work, statement_cache_size=5)


def batches() -> None:
    async def work(connection: asyncpg.Connection, rng: random.Random) -> None:
        await connection.execute("create table batches (n int)")
        await connection.executemany("insert into batches values ($1)", [(n,) for n in range(3000)])
        expect(await connection.fetchval("select sum(n) from batches"), 3000 * 2999 // 2)
        try:
            await connection.executemany("select 1 / $1::int", [(1,)] * 100 + [(0,)] + [(1,)] * 100)
        except asyncpg.DivisionByZeroError:
            await ask(connection, question(rng))
        else:
            raise AssertionError("the batch did not fail")

    with_clients(work, clients=1)


def cursors_on_the_server() -> None:
    async def work(connection: asyncpg.Connection, rng: random.Random) -> None:
        top = rng.randrange(1000, 3000)
        async with connection.transaction():
            cursor = connection.cursor("select n from generate_series(1, $1) n", top, prefetch=100)
            expect([row["n"] async for row in cursor], list(range(1, top + 1)))

    with_clients(work)


def copies_both_ways() -> None:
    async def work(connection: asyncpg.Connection, rng: random.Random) -> None:
        rows = [(n, f"row {rng.randrange(1000)}") for n in range(1000)]
        async with connection.transaction():
            await connection.execute("create temp table copied (n int, t text) on commit drop")
            await connection.copy_records_to_table("copied", records=rows)
            out = io.BytesIO()
            await connection.copy_from_query("select n, t from copied order by n", output=out)
            lines = [tuple(line.split("\t")) for line in out.getvalue().decode().splitlines()]
            expect(lines, [(str(n), word) for n, word in rows])

    with_clients(work)


def a_large_parameter() -> None:
    async def work(connection: asyncpg.Connection, rng: random.Random) -> None:
        for kind, value in (("text", "g" * plan.BIG), ("bytea", rng.randbytes(plan.BIG))):
            row = await connection.fetchrow(f"select $1::{kind}, length($1::{kind})", value)
            expect(tuple(row), (value, plan.BIG))

    with_clients(work, clients=4)


def what_takes_too_long_is_cancelled() -> None:
    async def work(connection: asyncpg.Connection, rng: random.Random) -> None:
        try:
            await connection.fetchval("select pg_sleep($1)", 60, timeout=0.3)
        except TimeoutError:
            await ask(connection, question(rng))
        else:
            raise AssertionError("the query was not cancelled")

    with_clients(work, clients=3)


def more_texts_than_a_server_holds() -> None:
    async def work(connection: asyncpg.Connection, rng: random.Random) -> None:
        numbers = list(range(plan.DISTINCT // plan.CLIENTS * 2))
        rng.shuffle(numbers)
        for number in numbers:
            await ask(connection, question(rng, number))
        for number in rng.sample(numbers, 50):
            await ask(connection, question(rng, number))

    with_clients(work, statement_cache_size=1000)


if __name__ == "__main__":
    play(
        clients_ask_at_random,
        one_name_means_different_texts,
        a_pool_of_clients,
        statements_are_deallocated,
        batches,
        cursors_on_the_server,
        copies_both_ways,
        a_large_parameter,
        what_takes_too_long_is_cancelled,
        more_texts_than_a_server_holds,
    )
