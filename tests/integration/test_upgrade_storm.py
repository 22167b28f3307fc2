"""Upgrades, reloads and killed workers under Python's clients, of which half speak TLS.

GREENPOOL_UPGRADE_STORM says how often each of the three happens (2: half a minute); with 20 it is
the storm for a release, with four times as many clients. tests/drivers/test_storm.py has the same
with clients of other languages.
"""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.tls import House
from tests.integration.storm import course, with_asyncpg, with_psycopg
from tests.integration.storm.client import Players

pytestmark = [ANY_POSTGRESQL, pytest.mark.slow]

OF_A_KIND = 8 if course.IS_LONG else 2
"""Of each kind, with TLS and without. Two kinds of each driver keep a server."""
SERVERS = 12 * OF_A_KIND


@pytest.mark.timeout(course.DEADLINE_S)
def test_storm_of_upgrades_reloads_and_kills(
    make_pooler: MakePooler, house: House, database: str
) -> None:
    settings = {**course.SETTINGS, **house.settings()}
    pooler = make_pooler(2, pools=course.pools(database, SERVERS), **settings)
    plain, encrypted = (
        pooler.dsn(database=database, sslmode=mode) for mode in ("disable", "require")
    )

    dsns = [plain, encrypted] * OF_A_KIND

    async def connect() -> Players:
        players = Players()
        for each in with_psycopg, with_asyncpg:
            await players.play(partial(each.join, kind, dsn) for kind in each.KINDS for dsn in dsns)
        return players

    asyncio.run(course.run(pooler, database, SERVERS, connect))
    course.leaves_nothing_behind(pooler)
