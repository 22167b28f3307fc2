"""pgx, the driver of Go, by itself and behind database/sql."""

from __future__ import annotations

import pytest

from tests.drivers.conftest import RunDriver
from tests.drivers.project import TEST_DEADLINE_S, Program, Project

_PROGRAMS = ("./native", "./stdsql", "./logins", "./storm", "./console")

GO = Project(
    "go",
    tools=("go",),
    steps=(("go", "build", "-o", "{build}/bin/", *_PROGRAMS),),
)


@pytest.mark.slow
@pytest.mark.timeout(TEST_DEADLINE_S)
@pytest.mark.parametrize("name", ["native", "stdsql"])
def test_go(run_driver: RunDriver, name: str) -> None:
    run_driver(Program(GO, (f"{{build}}/bin/{name}",)))
