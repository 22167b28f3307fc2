"""SQLAlchemy 2 over psycopg, psycopg2, asyncpg and pg8000: its pools, its ORM, its batches."""

from __future__ import annotations

import asyncio
import random

import sqlalchemy as sa  # type: ignore[import-not-found]  # lives in build/drivers
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import create_async_engine  # type: ignore[import-not-found]  # too

from tests.drivers.python import plan
from tests.drivers.python.plan import expect, play, question

METADATA = sa.MetaData()
MAPPED = orm.registry(metadata=METADATA)


class Account:
    """A mapped class; `entries` are loaded when they are looked at."""

    id: int
    name: str
    entries: list[Entry]

    def __init__(self, name: str) -> None:
        self.name = name


class Entry:
    """One of an account's entries."""

    amount: int

    def __init__(self, amount: int) -> None:
        self.amount = amount


_ACCOUNTS = sa.Table(
    "accounts",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, index=True),
)
_ENTRIES = sa.Table(
    "entries",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("amount", sa.Integer, nullable=False),
)
MAPPED.map_imperatively(Entry, _ENTRIES)
MAPPED.map_imperatively(
    Account, _ACCOUNTS, properties={"entries": orm.relationship(Entry, order_by=_ENTRIES.c.id)}
)


def engine_of(driver: str) -> sa.Engine:
    url = sa.make_url(plan.DSN).set(drivername=f"postgresql+{driver}")
    options = {"connect_args": {"prepare_threshold": 0}} if driver == "psycopg" else {}
    return sa.create_engine(url, pool_size=plan.CLIENTS, **options)


def work_with(driver: str) -> None:
    engine = engine_of(driver)
    METADATA.create_all(engine)
    try:
        plan.in_threads(lambda rng: _ask(engine, rng))
        plan.in_threads(lambda rng: _map(engine, rng))
        _stream(engine)
    finally:
        METADATA.drop_all(engine)
        engine.dispose()


def _ask(engine: sa.Engine, rng: random.Random) -> None:
    for _ in range(40):
        asked = question(rng)
        with engine.connect() as connection:
            text = sa.text(asked.text(":a", ":b"))
            row = connection.execute(text, {"a": asked.value, "b": asked.word}).one()
            expect(tuple(row), asked.answer)
            if rng.random() < 0.2:
                _fail(connection)


def _fail(connection: sa.Connection) -> None:
    try:
        connection.execute(sa.text("select 1 / cast(:a as int)"), {"a": 0})
    except sa.exc.DBAPIError:
        connection.rollback()
        expect(connection.scalar(sa.text("select 7")), 7)
        return
    raise AssertionError("the division did not fail")


def _map(engine: sa.Engine, rng: random.Random) -> None:
    """Write and read objects; a nested transaction that fails leaves the outer one whole."""
    name = f"account {rng.randrange(1 << 30)}"
    amounts = [rng.randrange(100) for _ in range(plan.BATCH)]
    with orm.Session(engine) as session:
        account = Account(name)
        account.entries = [Entry(amount) for amount in amounts]
        session.add(account)
        session.flush()
        try:
            with session.begin_nested():
                session.execute(sa.text("select 1 / cast(:a as int)"), {"a": 0})
        except sa.exc.DBAPIError:
            session.commit()
        else:
            raise AssertionError("the division did not fail")
    with orm.Session(engine) as session:
        account = session.scalars(sa.select(Account).where(_ACCOUNTS.c.name == name)).one()
        expect([entry.amount for entry in account.entries], amounts)
        total = sa.select(sa.func.sum(_ENTRIES.c.amount)).where(
            _ENTRIES.c.account_id == _ACCOUNTS.c.id, _ACCOUNTS.c.name == name
        )
        expect(session.scalar(total), sum(amounts))


def _stream(engine: sa.Engine) -> None:
    with engine.connect().execution_options(yield_per=100) as connection:
        rows = connection.execute(sa.text("select n from generate_series(1, 3000) n"))
        expect([row.n for row in rows], list(range(1, 3001)))


def over_psycopg() -> None:
    work_with("psycopg")


def over_psycopg2() -> None:
    work_with("psycopg2")


def over_pg8000() -> None:
    work_with("pg8000")


def over_asyncpg() -> None:
    async def one(engine: object, rng: random.Random) -> None:
        for _ in range(40):
            asked = question(rng)
            async with engine.connect() as connection:  # type: ignore[attr-defined]  # untyped
                text = sa.text(asked.text(":a", ":b"))
                rows = await connection.execute(text, {"a": asked.value, "b": asked.word})
                expect(tuple(rows.one()), asked.answer)

    async def run() -> None:
        url = sa.make_url(plan.DSN).set(drivername="postgresql+asyncpg")
        engine = create_async_engine(url, pool_size=plan.CLIENTS)
        async with asyncio.TaskGroup() as group:
            for client in range(plan.CLIENTS):
                group.create_task(one(engine, random.Random(plan.SEED * 1000 + client)))
        await engine.dispose()

    asyncio.run(run())


if __name__ == "__main__":
    play(over_psycopg, over_psycopg2, over_pg8000, over_asyncpg)
