"""psycopg 3 in asyncio: many connections on one thread, pipelines beside each other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from psycopg import errors

from tests.drivers.python import plan
from tests.drivers.python.plan import expect, play, question

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
Work = Callable[[Connection, random.Random], Awaitable[None]]


async def ask(connection: Connection, asked: plan.Question) -> None:
    cursor = await connection.execute(asked.text().encode(), asked.parameters)
    expect(await cursor.fetchone(), asked.answer)


def with_clients(work: Work) -> None:
    """Run `work` on CLIENTS connections at a time."""

    async def one(client: int) -> None:
        connection = await psycopg.AsyncConnection.connect(
            plan.DSN, autocommit=True, prepare_threshold=0
        )
        async with connection:
            await work(connection, random.Random(plan.SEED * 1000 + client))

    async def everybody() -> None:
        async with asyncio.TaskGroup() as group:
            for client in range(plan.CLIENTS):
                group.create_task(one(client))

    asyncio.run(everybody())


def clients_ask_at_random() -> None:
    async def work(connection: Connection, rng: random.Random) -> None:
        for _ in range(plan.QUERIES):
            if rng.random() < 0.9:
                await ask(connection, question(rng))
                continue
            try:
                await connection.execute("select 1 / cast(%s as int)", [0])
            except errors.DivisionByZero:
                continue
            raise AssertionError("the division did not fail")

    with_clients(work)


def pipelines_beside_each_other() -> None:
    async def work(connection: Connection, rng: random.Random) -> None:
        for _ in range(3):
            questions = [question(rng) for _ in range(plan.BATCH)]
            async with connection.pipeline():
                cursors = [
                    await connection.execute(q.text().encode(), q.parameters) for q in questions
                ]
                rows = [await each.fetchone() for each in cursors]
            expect(rows, [q.answer for q in questions])

    with_clients(work)


def cursors_on_the_server() -> None:
    async def work(connection: Connection, rng: random.Random) -> None:
        top = rng.randrange(1000, 3000)
        async with connection.transaction(), connection.cursor(name="walk") as cursor:
            await cursor.execute("select n from generate_series(1, %s) n", [top])
            cursor.itersize = 100
            expect([row[0] async for row in cursor], list(range(1, top + 1)))

    with_clients(work)


def copies_both_ways() -> None:
    async def work(connection: Connection, rng: random.Random) -> None:
        rows = [(n, f"row {rng.randrange(1000)}") for n in range(1000)]
        async with connection.transaction(), connection.cursor() as cursor:
            await cursor.execute("create temp table copied (n int, t text) on commit drop")
            async with cursor.copy("copy copied from stdin") as copy:
                for row in rows:
                    await copy.write_row(row)
            async with cursor.copy("copy (select n, t from copied order by n) to stdout") as copy:
                copy.set_types(["int4", "text"])
                expect([row async for row in copy.rows()], rows)

    with_clients(work)


if __name__ == "__main__":
    play(
        clients_ask_at_random,
        pipelines_beside_each_other,
        cursors_on_the_server,
        copies_both_ways,
    )
