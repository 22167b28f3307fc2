"""The pooler that all drivers meet: transaction mode, two workers, three servers, a small cache.

    run_driver(program)   run a driver's program to its end and see that the pool is whole again

Whole means: every server is idle, there are no more of them than allowed, and none holds more
prepared statements than `server_prepared_statements_cache_size`. Unless GREENPOOL_DRIVERS asks for
every version of PostgreSQL (project.py), the newest one has to do.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.drivers.project import EVERY_VERSION, Program
from tests.integration import conftest as integration
from tests.integration.conftest import MakePooler
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.postgres import MAJORS, PostgreSQL

SERVERS = 3
CACHE_SIZE = 50
RunDriver = Callable[[Program], None]

_subreaper = integration._subreaper
_nothing_left = integration._nothing_left
pg = integration.pg
database = integration.database
make_pooler = integration.make_pooler


@pytest.fixture(
    scope="session",
    params=MAJORS if EVERY_VERSION else MAJORS[-1:],
    ids=lambda major: f"pg{major}",
)
def _server(request: pytest.FixtureRequest, _subreaper: None) -> PostgreSQL:
    """Hide the fixture of that name, which meets every version."""
    major: int = request.param
    servers = integration._servers
    if major not in servers:
        servers[major] = PostgreSQL(major)
        servers[major].create()
    return servers[major]


@pytest.fixture
def run_driver(make_pooler: MakePooler, database: str) -> RunDriver:
    """Return a function that runs a program against an empty database behind a small pool."""

    def run(program: Program) -> None:
        program.project.make()
        pooler = make_pooler(
            2,
            pools={database: {"pool_mode": "transaction", "users": [user(pool_size=SERVERS)]}},
            prepared_statements=True,
            server_prepared_statements_cache_size=CACHE_SIZE,
            query_wait_timeout="30s",
            **QUIET,
        )
        program.run(pooler.dsn(database=database))
        wait_for_balance(pooler, clients=0)
        assert len(pooler.pg.backends("app")) <= SERVERS
        held = _statements_held(pooler, database)
        assert max(held) <= CACHE_SIZE, f"the servers hold {held} statements"

    return run


def _statements_held(pooler: Pooler, database: str) -> list[int]:
    """Count the prepared statements of every server, by holding all servers at a time."""
    with ExitStack() as stack:
        connections = [
            stack.enter_context(pooler.connect(database=database)) for _ in range(SERVERS)
        ]
        for connection in connections:
            connection.execute("begin")
        rows = [
            connection.execute("select count(*)::int from pg_prepared_statements").fetchone()
            for connection in connections
        ]
        return [row[0] for row in rows if row is not None]
