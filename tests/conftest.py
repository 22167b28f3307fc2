"""What holds for all tests: neither the shell's PostgreSQL settings nor a busy machine matter."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# An example that is slow, or slow to be made up, is no failure: the machine may be busy. Fixtures
# such as tmp_path may be used, which are made once for all examples: each writes them anew.
settings.register_profile(
    "greenpool",
    settings.default,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("greenpool")


def pytest_configure() -> None:
    """Forget PGHOST, PGUSER, PGPASSFILE and their kind before anything connects anywhere."""
    for name in [each for each in os.environ if each.startswith("PG")]:
        del os.environ[name]
