"""Fixtures of the integration tests: servers of two versions, poolers, and what must hold after.

    pg             a running PostgreSQL; the test runs once for every major version
    database       an empty database of its own on it
    house          a certificate authority, for TLS
    found_users    users that auth_query finds: harness/found.py
    make_pooler    start as many poolers as the test needs
    workers        how many a greenpool has: 1 in front of the older PostgreSQL, 2 of the newer one
    pooler         a greenpool with the default pools and so many workers

A module to which the version of PostgreSQL makes no difference, because it is about greenpool's
processes, clients or console, says `pytestmark = ANY_POSTGRESQL` and meets the newest alone.

After each test every pooler must end by itself with exit code 0, and no process may be left.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import processes
from tests.integration.harness.found import users_to_find
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.postgres import MAJORS, PostgreSQL
from tests.integration.harness.tls import House

MakePooler = Callable[..., Pooler]
ANY_POSTGRESQL = pytest.mark.parametrize(
    "_server", MAJORS[-1:], indirect=True, ids=[f"pg{MAJORS[-1]}"]
)

_servers: dict[int, PostgreSQL] = {}


@pytest.fixture(scope="session", autouse=True)
def _subreaper() -> Iterator[None]:
    processes.become_subreaper()
    yield
    for server in _servers.values():
        server.remove()
    _servers.clear()


@pytest.fixture(autouse=True)
def _nothing_left(_subreaper: None) -> Iterator[None]:
    yield
    ours = [server.pid for server in _servers.values() if server.is_running]
    left = processes.descendants(except_pids=ours)
    names = [processes.describe(each) for each in left]
    processes.kill_all(left)
    processes.reap_zombies(except_pids=ours)
    assert not names, f"processes left behind: {names}"


@pytest.fixture(scope="session", params=MAJORS, ids=lambda major: f"pg{major}")
def _server(request: pytest.FixtureRequest, _subreaper: None) -> PostgreSQL:
    major: int = request.param
    if major not in _servers:
        _servers[major] = server = PostgreSQL(major)
        server.create()
    return _servers[major]


@pytest.fixture
def pg(_server: PostgreSQL, _nothing_left: None) -> PostgreSQL:
    """Return a running server without any client."""
    if not _server.is_running:
        _server.start()
    _server.terminate()
    return _server


@pytest.fixture
def database(pg: PostgreSQL) -> Iterator[str]:
    """Return the name of an empty database that belongs to `app`."""
    name = pg.create_database()
    yield name
    if not pg.is_running:
        pg.start()
    pg.drop_database(name)


@pytest.fixture
def found_users(pg: PostgreSQL) -> Iterator[None]:
    """Have users on the server that no configuration names, and the function that tells of them."""
    with users_to_find(pg):
        yield


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """Return a certificate authority that a greenpool's clients trust."""
    directory = Path(tempfile.mkdtemp(prefix="greenpool-tls-"))
    yield House(directory)
    shutil.rmtree(directory)


@pytest.fixture
def make_pooler(pg: PostgreSQL, request: pytest.FixtureRequest) -> Iterator[MakePooler]:
    """Return a function `make_pooler(workers=2, pools=None, **general)` that starts one.

    `kind` is the class to make, where a test has one of its own.
    """
    started: list[Pooler] = []

    def make(workers: int = 2, kind: type[Pooler] = Pooler, **settings: Any) -> Pooler:
        pooler = kind(pg, workers, **settings)
        started.append(pooler)
        pooler.start()
        return pooler

    yield make
    complaints = [complaint for pooler in started for complaint in _end(pooler)]
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


@pytest.fixture
def workers(pg: PostgreSQL) -> int:
    return 1 + MAJORS.index(pg.major)


@pytest.fixture
def pooler(make_pooler: MakePooler, workers: int) -> Pooler:
    return make_pooler(workers)


def _end(pooler: Pooler) -> list[str]:
    """Stop a pooler; say what was wrong with its end. Its log goes to the captured output."""
    complaints: list[str] = []
    try:
        code = pooler.stop()
        if code not in (0, None):
            complaints.append(f"greenpool ended with exit code {code}")
    except AssertionError as exc:
        complaints.append(str(exc))
    if report := pooler.sanitizer_reports():
        complaints.append(report)
    complaints += re.findall(
        r"worker \d+ \(pid \d+\) was killed by SIG(?:SEGV|ABRT|BUS)", pooler.log()
    )
    print(f"--- log of greenpool on port {pooler.port}\n{pooler.log()}")
    pooler.release()
    return complaints
