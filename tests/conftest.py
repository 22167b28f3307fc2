"""Options shared by all tests: none of them may depend on the PostgreSQL settings of the shell."""

from __future__ import annotations

import os


def pytest_configure() -> None:
    """Forget PGHOST, PGUSER, PGPASSFILE and their kind before anything connects anywhere."""
    for name in [each for each in os.environ if each.startswith("PG")]:
        del os.environ[name]
