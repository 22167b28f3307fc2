"""pg, the driver of Ruby."""

from __future__ import annotations

import pytest

from tests.drivers.conftest import RunDriver
from tests.drivers.project import TEST_DEADLINE_S, Program, Project

RUBY = Project("ruby", tools=("ruby",), libraries={"ruby-pg": ("ruby", "-e", "require 'pg'")})


@pytest.mark.slow
@pytest.mark.timeout(TEST_DEADLINE_S)
def test_ruby(run_driver: RunDriver) -> None:
    run_driver(Program(RUBY, ("ruby", "-w", "ruby_pg.rb")))
