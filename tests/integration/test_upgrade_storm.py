"""Upgrades, reloads and killed workers under Python's clients, of which half speak TLS.

GREENPOOL_UPGRADE_STORM says how often each of the three happens (2: half a minute); with 20 it is
the storm for a release, with five times as many clients. tests/drivers/test_storm.py has the same
with clients of other languages.
"""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.tls import House
from tests.integration.storm import course, python_crew

pytestmark = [ANY_POSTGRESQL, pytest.mark.slow]

OF_A_KIND = 5 if course.IS_LONG else 1


@pytest.mark.timeout(course.DEADLINE_S)
def test_storm_of_upgrades_reloads_and_kills(
    make_pooler: MakePooler, house: House, database: str
) -> None:
    servers = python_crew.servers_for(OF_A_KIND)
    settings = {**course.SETTINGS, **house.settings()}
    pooler = make_pooler(2, pools=course.pools(database, servers), **settings)
    connect = partial(python_crew.connect, pooler, database, OF_A_KIND)
    asyncio.run(course.run(pooler, database, servers, connect))
    course.leaves_nothing_behind(pooler)
