"""The storm of tests/integration/test_upgrade_storm.py over clients of other languages."""

from __future__ import annotations

import asyncio

import pytest

from tests.drivers.project import BUILD_DEADLINE_S, Program
from tests.drivers.test_go import GO
from tests.drivers.test_java import JAVA, RUN
from tests.integration import conftest as integration
from tests.integration.conftest import MakePooler
from tests.integration.harness.tls import House
from tests.integration.storm import course
from tests.integration.storm.program import ProgramCrew

house = integration.house

OF_A_KIND = 6 if course.IS_LONG else 2
KINDS = 6
SERVERS = 4 * OF_A_KIND + 8
"""Two kinds keep a server, with TLS and without."""


@pytest.mark.slow
@pytest.mark.timeout(BUILD_DEADLINE_S + course.DEADLINE_S)
@pytest.mark.parametrize(
    "program",
    [
        pytest.param(Program(GO, ("{build}/bin/storm",)), id="pgx"),
        pytest.param(Program(JAVA, (*RUN, "greenpool.Storm")), id="pgjdbc"),
    ],
)
def test_storm(make_pooler: MakePooler, house: House, database: str, program: Program) -> None:
    program.project.make()
    settings = {**course.SETTINGS, **house.settings()}
    pooler = make_pooler(2, pools=course.pools(database, SERVERS), **settings)

    async def connect() -> ProgramCrew:
        variables = program.variables(pooler.dsn(database=database))
        variables["GREENPOOL_OF_A_KIND"] = str(OF_A_KIND)
        clients = 2 * KINDS * OF_A_KIND
        return await ProgramCrew.start(program.words, program.directory, variables, clients)

    asyncio.run(course.run(pooler, database, SERVERS, connect))
    course.leaves_nothing_behind(pooler)
