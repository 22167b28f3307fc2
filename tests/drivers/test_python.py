"""The drivers of Python, and the two object-relational mappers that sit on them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.drivers.conftest import RunDriver
from tests.drivers.project import TEST_DEADLINE_S, Program, Project

_ROOT = Path(__file__).parent.parent.parent
_PIP = (sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check")
# What the tests have in their own environment is not installed again; Django and SQLAlchemy are
# nobody else's business and live beside it.
PYTHON = Project(
    "python",
    tools=(),
    steps=((*_PIP, "--upgrade", "--target", "{build}/site", "-r", "requirements.txt"),),
    sources="requirements.txt",
    always=True,
)
PROGRAMS = ("psycopg", "psycopg_async", "psycopg2", "asyncpg", "pg8000", "sqlalchemy", "django")


@pytest.mark.slow
@pytest.mark.timeout(TEST_DEADLINE_S)
@pytest.mark.parametrize("name", PROGRAMS)
def test_python(run_driver: RunDriver, name: str) -> None:
    command = (sys.executable, "-W", "error", "-m", f"tests.drivers.python.with_{name}")
    run_driver(Program(PYTHON, command, _ROOT, {"PYTHONPATH": "{build}/site"}))
