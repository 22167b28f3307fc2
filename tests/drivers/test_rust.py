"""tokio-postgres, the driver of Rust."""

from __future__ import annotations

import pytest

from tests.drivers.conftest import RunDriver
from tests.drivers.project import TEST_DEADLINE_S, Program, Project

RUST = Project(
    "rust",
    tools=("cargo",),
    steps=(("cargo", "build", "-q", "--locked", "--target-dir", "{build}/target"),),
)


@pytest.mark.slow
@pytest.mark.timeout(TEST_DEADLINE_S)
def test_rust(run_driver: RunDriver) -> None:
    run_driver(Program(RUST, ("{build}/target/debug/tokio_postgres",)))
