"""pgjdbc, the driver of Java."""

from __future__ import annotations

import pytest

from tests.drivers.conftest import RunDriver
from tests.drivers.project import TEST_DEADLINE_S, Program, Project

_FETCH = ("mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory={build}/jars")
_SOURCES = tuple(
    f"src/main/java/greenpool/{name}.java"
    for name in ("Plan", "Jdbc", "Logins", "Kinds", "Storm", "Console")
)
JAVA = Project(
    "java",
    tools=("java", "javac", "mvn"),
    steps=(_FETCH, ("javac", "-Xlint:all", "-cp", "{build}/jars/*", "-d", "classes", *_SOURCES)),
)
RUN = ("java", "-Xmx256m", "-cp", "classes:{build}/jars/*")


@pytest.mark.slow
@pytest.mark.timeout(TEST_DEADLINE_S)
def test_java(run_driver: RunDriver) -> None:
    run_driver(Program(JAVA, (*RUN, "greenpool.Jdbc")))
