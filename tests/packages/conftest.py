"""Fixtures of the tests of packages, which need root, Debian's tools and, the first time, a mirror.

packages    the .deb and the .rpm of this checkout, and once more as the next revision
debian      a clean system
installed   a greenpool on it; the package is to be installed by the test
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drivers import conftest as drivers
from tests.integration import conftest as integration
from tests.integration.harness.postgres import PostgreSQL
from tests.packages.building import Packages, build
from tests.packages.debian import Debian, make_base, skip_unless_possible
from tests.packages.installed import Installed

# The newest PostgreSQL: what is tested here is not the relay.
_server = drivers._server
_subreaper = integration._subreaper
_nothing_left = integration._nothing_left
pg = integration.pg


@pytest.fixture(scope="session")
def output() -> Iterator[Path]:
    """Return the directory of all packages of the run; systems see it as /mnt."""
    skip_unless_possible()
    with tempfile.TemporaryDirectory(prefix="greenpool-packages-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def packages(output: Path) -> tuple[Packages, Packages]:
    return build(output, revision=1), build(output, revision=2)


@pytest.fixture
def debian(output: Path, _nothing_left: None) -> Iterator[Debian]:
    make_base()
    system = Debian(output)
    yield system
    system.close()


@pytest.fixture
def installed(debian: Debian, pg: PostgreSQL) -> Iterator[Installed]:
    greenpool = Installed(debian, pg)
    yield greenpool
    print(f"--- log of the installed greenpool\n{greenpool.log()}")
    greenpool.release()
