"""PDO, the driver of PHP."""

from __future__ import annotations

import pytest

from tests.drivers.conftest import RunDriver
from tests.drivers.project import TEST_DEADLINE_S, Program, Project

_HAS_DRIVER = 'exit(extension_loaded("pdo_pgsql") && extension_loaded("pcntl") ? 0 : 1);'
PHP = Project("php", tools=("php",), libraries={"php-pgsql": ("php", "-r", _HAS_DRIVER)})


@pytest.mark.slow
@pytest.mark.timeout(TEST_DEADLINE_S)
def test_php(run_driver: RunDriver) -> None:
    run_driver(Program(PHP, ("php", "-d", "error_reporting=-1", "pdo.php")))
