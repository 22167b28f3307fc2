"""psqlODBC, the driver behind unixODBC."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drivers.conftest import RunDriver
from tests.drivers.project import TEST_DEADLINE_S, Program, Project

_ROOT = Path(__file__).parent.parent.parent
_PYTHON = "/usr/bin/python3"  # the one that Debian's package is for
_HAS_DRIVER = "import pyodbc; assert 'PostgreSQL Unicode' in pyodbc.drivers()"
ODBC = Project(
    "odbc",
    tools=(_PYTHON,),
    libraries={
        "python3-pyodbc": (_PYTHON, "-c", "import pyodbc"),
        "odbc-postgresql": (_PYTHON, "-c", _HAS_DRIVER),
    },
)


@pytest.mark.slow
@pytest.mark.timeout(TEST_DEADLINE_S)
def test_odbc(run_driver: RunDriver) -> None:
    run_driver(Program(ODBC, (_PYTHON, "-m", "tests.drivers.odbc.with_pyodbc"), _ROOT))
