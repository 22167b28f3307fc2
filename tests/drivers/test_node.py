"""The drivers of Node.js."""

from __future__ import annotations

import pytest

from tests.drivers.conftest import RunDriver
from tests.drivers.project import TEST_DEADLINE_S, Program, Project

NODE = Project(
    "node",
    tools=("node", "npm"),
    steps=(("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"),),
)


@pytest.mark.slow
@pytest.mark.timeout(TEST_DEADLINE_S)
@pytest.mark.parametrize("name", ["node_postgres", "postgres_js"])
def test_node(run_driver: RunDriver, name: str) -> None:
    run_driver(Program(NODE, ("node", "--unhandled-rejections=strict", f"{name}.js")))
