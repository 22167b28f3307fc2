"""pgx, the driver of Go, by itself and behind database/sql."""

from __future__ import annotations

import pytest

from tests.drivers.conftest import RunDriver
from tests.drivers.project import TEST_DEADLINE_S, Program, Project

GO = Project(
    "go",
    tools=("go",),
    steps=(("go", "build", "-o", "{build}/bin/", "./native", "./stdsql", "./logins", "./storm"),),
)


@pytest.mark.slow
@pytest.mark.timeout(TEST_DEADLINE_S)
@pytest.mark.parametrize("name", ["native", "stdsql"])
def test_go(run_driver: RunDriver, name: str) -> None:
    run_driver(Program(GO, (f"{{build}}/bin/{name}",)))
