"""The console beside PgBouncer's own: the same columns, of the same types, in the same order."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import psycopg
import pytest

from greenpool.admin.show import SHOWS
from greenpool.demo.installation import unprivileged_user
from tests.integration.conftest import MakePooler
from tests.integration.harness.ports import PortLock
from tests.integration.harness.waiting import wait_for

PGBOUNCER = which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
SHARED = sorted(
    set(SHOWS)
    & {
        *("active_sockets", "clients", "config", "databases", "dns_hosts", "dns_zones", "lists"),
        *("peer_pools", "peers", "pools", "servers", "sockets", "stats", "stats_averages"),
        *("stats_totals", "totals", "users", "version"),
    }
)
# Since PgBouncer 1.23; Debian 12 has 1.18.
RENAMED = {"reserve_pool": "reserve_pool_size"}
Shape = list[tuple[str, int]]

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed")


@pytest.fixture
def pgbouncer(tmp_path: Path) -> Iterator[int]:
    """Start PgBouncer, return its port."""
    lock = PortLock()
    config = tmp_path / "pgbouncer.ini"
    config.write_text(
        f"[databases]\napp = host=127.0.0.1\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {lock.port}\nunix_socket_dir =\nauth_type = any\nadmin_users = admin\n"
    )
    account = unprivileged_user()
    for each in (config, *config.parents[:3]):
        each.chmod(0o755)
    process = subprocess.Popen(
        [str(PGBOUNCER), "-q", str(config)],
        stderr=subprocess.PIPE,
        user=account.pw_uid if account else None,
        cwd="/",
    )
    try:
        wait_for(lambda: process.poll() is not None or _answers(lock.port), "PgBouncer answers")
        assert process.poll() is None, process.communicate()[1]
        yield lock.port
    finally:
        process.terminate()
        process.communicate()
        lock.release()


def test_columns_are_those_of_pgbouncer(pgbouncer: int, make_pooler: MakePooler) -> None:
    pooler = make_pooler(1)
    ours = f"host={pooler.host} port={pooler.port} user=admin password=admin-secret"
    found = []
    for name in SHARED:
        theirs = _shape(f"host=127.0.0.1 port={pgbouncer} user=admin", name)
        mine = _shape(ours, name) or []
        if theirs and [each for each in mine if each in theirs] != theirs:
            found.append(f"SHOW {name}: {theirs}, not {mine}")
    assert not found, "\n".join(found)


def _shape(address: str, name: str) -> Shape | None:
    """Return names and types of the columns; None: it is unknown there."""
    with psycopg.connect(f"{address} dbname=pgbouncer", autocommit=True) as connection:
        try:
            cursor = psycopg.ClientCursor(connection).execute(f"SHOW {name}".encode())
        except psycopg.Error:
            return None
    assert cursor.description is not None
    return [(RENAMED.get(each.name, each.name), each.type_code) for each in cursor.description]


def _answers(port: int) -> bool:
    try:
        with psycopg.connect(f"host=127.0.0.1 port={port} user=admin dbname=pgbouncer"):
            return True
    except psycopg.OperationalError:
        return False
