"""The admin console as a driver uses it that asks for types, prepares, and has no simple protocol.

Others are met in tests/unit/admin/test_drivers.py and test_tools.py, psql in
tests/integration/test_admin.py.
"""

from __future__ import annotations

import pytest

from tests.drivers.project import TEST_DEADLINE_S, Program
from tests.drivers.test_go import GO
from tests.drivers.test_java import JAVA, RUN
from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import QUIET
from tests.integration.harness.programs import PASSWORD


@pytest.mark.slow
@pytest.mark.timeout(TEST_DEADLINE_S)
def test_pgjdbc(make_pooler: MakePooler, database: str) -> None:
    JAVA.make()
    pooler = make_pooler(2, admin_password=PASSWORD, **QUIET)
    program = Program(JAVA, (*RUN, "greenpool.Console", "app"))
    program.run(pooler.dsn(user="admin", database="greenpool"))


@pytest.mark.slow
@pytest.mark.timeout(TEST_DEADLINE_S)
def test_pgx(make_pooler: MakePooler, database: str) -> None:
    GO.make()
    pooler = make_pooler(2, admin_password=PASSWORD, **QUIET)
    program = Program(GO, ("{build}/bin/console", "app"))
    program.run(pooler.dsn(user="admin", database="greenpool"))
