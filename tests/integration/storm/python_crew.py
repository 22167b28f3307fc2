"""The crew of Python's clients, which are all in this process."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from tests.integration.harness.pooler import Pooler
from tests.integration.storm import course, with_asyncpg, with_psycopg, with_raw
from tests.integration.storm.client import Players, Recipe

_DRIVERS: tuple[Any, ...] = (with_psycopg, with_asyncpg, with_raw)
_KEEPING = 5
"""Kinds that keep a server for themselves."""
_OTHERS = sum(len(each.KINDS) for each in _DRIVERS) - _KEEPING


def servers_for(of_a_kind: int) -> int:
    """Return how many servers they need: a third of those who share some, at a time."""
    return 2 * of_a_kind * (_KEEPING + _OTHERS // 3)


async def connect(pooler: Pooler, database: str, of_a_kind: int) -> Players:
    """Connect that many clients of each kind with TLS, as many without, and one to PostgreSQL."""
    players = Players()
    await players.play(_recipes(pooler.pg.dsn("app", "app"), except_for="recording"), True)
    for sslmode in ["disable", "require"] * of_a_kind:
        await players.play(_recipes(pooler.dsn(database=database, sslmode=sslmode)))
    alone = pooler.dsn(database=course.ALONE)
    await players.play([partial(with_psycopg.join, with_psycopg.alone, alone)])
    return players


def _recipes(dsn: str, except_for: str = "") -> Iterator[Recipe]:
    for driver in _DRIVERS:
        for kind in driver.KINDS:
            if kind.__name__ != except_for:
                yield partial(driver.join, kind, dsn)
