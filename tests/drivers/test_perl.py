"""DBD::Pg, the driver of Perl."""

from __future__ import annotations

import pytest

from tests.drivers.conftest import RunDriver
from tests.drivers.project import TEST_DEADLINE_S, Program, Project

PERL = Project(
    "perl", tools=("perl",), libraries={"libdbd-pg-perl": ("perl", "-M5.036", "-MDBD::Pg", "-e1")}
)


@pytest.mark.slow
@pytest.mark.timeout(TEST_DEADLINE_S)
def test_perl(run_driver: RunDriver) -> None:
    run_driver(Program(PERL, ("perl", "dbd_pg.pl")))
