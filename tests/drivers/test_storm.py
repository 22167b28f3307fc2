"""The storm of tests/integration/test_upgrade_storm.py over clients of other languages.

In its long form Python's clients are there too: two hundred of every kind before one greenpool.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.drivers.project import BUILD_DEADLINE_S, Program
from tests.drivers.test_go import GO
from tests.drivers.test_java import JAVA, RUN
from tests.integration import conftest as integration
from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.tls import House
from tests.integration.storm import course, python_crew
from tests.integration.storm.client import TURNS_A_S, Crew, Crews
from tests.integration.storm.program import ProgramCrew

house = integration.house

PROGRAMS = (
    Program(GO, ("{build}/bin/storm",)),
    Program(JAVA, (*RUN, "greenpool.Storm")),
)
KINDS = 6
OF_A_KIND = 4 if course.IS_LONG else 1
CLIENTS = 2 * KINDS * OF_A_KIND
OF_A_KIND_OF_PYTHON = 3 if course.IS_LONG else 0
SERVERS = len(PROGRAMS) * CLIENTS // 2 + python_crew.servers_for(OF_A_KIND_OF_PYTHON)
"""Of the six kinds two keep a server."""


@pytest.mark.slow
@pytest.mark.timeout(len(PROGRAMS) * BUILD_DEADLINE_S + course.DEADLINE_S)
def test_storm(make_pooler: MakePooler, house: House, database: str) -> None:
    for program in PROGRAMS:
        program.project.make()
    settings = {**course.SETTINGS, **house.settings()}
    pooler = make_pooler(2, pools=course.pools(database, SERVERS), **settings)

    async def connect() -> Crews:
        crews: list[Crew] = [await _start(each, pooler, database) for each in PROGRAMS]
        crews.append(await python_crew.connect(pooler, database, OF_A_KIND_OF_PYTHON))
        return Crews(crews)

    asyncio.run(course.run(pooler, database, SERVERS, connect))
    course.leaves_nothing_behind(pooler)


async def _start(program: Program, pooler: Pooler, database: str) -> ProgramCrew:
    variables = {
        **program.variables(pooler.dsn(database=database)),
        "GREENPOOL_DIRECT_DSN": pooler.pg.dsn("app", "app"),
        "GREENPOOL_OF_A_KIND": str(OF_A_KIND),
        "GREENPOOL_REST_MS": str(1000 * CLIENTS // TURNS_A_S),
    }
    everybody = CLIENTS + KINDS - 1  # all but one kind stand before PostgreSQL too
    return await ProgramCrew.start(program.words, program.directory, variables, everybody)
