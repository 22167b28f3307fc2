"""The console beside PgBouncer's own, and read by a tool that was written for that."""

from __future__ import annotations

import os
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any

import psycopg
import pytest

from greenpool.admin.show import SHOWS
from greenpool.demo.installation import unprivileged_user
from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.ports import PortLock
from tests.integration.harness.waiting import wait_for

PGBOUNCER = which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
SHARED = sorted(
    set(SHOWS)
    & {
        *("active_sockets", "clients", "config", "databases", "dns_hosts", "dns_zones", "lists"),
        *("peer_pools", "peers", "pools", "servers", "sockets", "state", "stats", "stats_averages"),
        *("stats_totals", "totals", "users", "version"),
    }
)
Shape = list[tuple[str, int]]

pytestmark = [
    ANY_POSTGRESQL,
    pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed"),
]


@pytest.fixture
def pgbouncer() -> Iterator[int]:
    """Start PgBouncer, return its port."""
    lock = PortLock()
    account = unprivileged_user()
    with tempfile.TemporaryDirectory(prefix="greenpool-test-") as directory:
        config = Path(directory) / "pgbouncer.ini"
        config.write_text(
            f"[databases]\napp = host=127.0.0.1\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {lock.port}\nunix_socket_dir =\nauth_type = any\nadmin_users = admin\n"
        )
        Path(directory).chmod(0o755)  # it refuses to run as root
        command = [str(PGBOUNCER), "-q", str(config)]
        with _running(command, user=account.pw_uid if account else None) as process:
            _wait_for(process, lambda: _answers(lock.port))
            yield lock.port
    lock.release()


@contextmanager
def _running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stderr=subprocess.PIPE, cwd="/", **options) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.communicate()


def _wait_for(process: subprocess.Popen[bytes], answers: Callable[[], object]) -> None:
    wait_for(lambda: process.poll() is not None or answers(), f"{process.args!r} answers")
    if process.poll() is not None:
        assert process.stderr is not None
        raise AssertionError(f"{process.args!r} has ended: {process.stderr.read()!r}")


def test_debians_exporter_works_unchanged(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1)
    with pooler.connect() as connection:
        connection.execute("select 1")
    lock = PortLock()
    command = [
        *("prometheus-pgbouncer-exporter", "--host", "127.0.0.1", "--port", str(lock.port)),
        *("--pgbouncer-host", pooler.host, "--pgbouncer-port", str(pooler.port)),
        *("--pgbouncer-user", "admin"),
    ]
    with _running(command, env={**os.environ, "PGPASSWORD": "admin-secret"}) as process:
        _wait_for(process, lambda: _scrape(lock.port))
        told = [line for line in _scrape(lock.port).splitlines() if "pgbouncer_" in line]
    lock.release()
    (stats,) = [row for row in pooler.admin("SHOW STATS") if row["database"] == "app"]
    assert stats["total_query_count"] > 0
    for sample in (
        f'pgbouncer_requests_total{{database="app"}} {float(stats["total_query_count"])}',
        'pgbouncer_active_clients{database="app",user="app"} 0.0',
        "pgbouncer_databases 2.0",
        "pgbouncer_used_servers 1.0",
    ):
        assert sample in told


def test_columns_are_those_of_pgbouncer(pgbouncer: int, make_pooler: MakePooler) -> None:
    pooler = make_pooler(1)
    ours = f"host={pooler.host} port={pooler.port} user=admin password=admin-secret"
    found = []
    for name in SHARED:
        theirs = _shape(f"host=127.0.0.1 port={pgbouncer} user=admin", name)
        mine = _shape(ours, name) or []
        if theirs and not set(theirs) <= set(mine):
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
    return [(each.name, each.type_code) for each in cursor.description]


def _scrape(port: int) -> str:
    """Return what the exporter tells, nothing as long as it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return str(answer.read(), "utf-8")
    except urllib.error.URLError:
        return ""


def _answers(port: int) -> bool:
    try:
        with psycopg.connect(f"host=127.0.0.1 port={port} user=admin dbname=pgbouncer"):
            return True
    except psycopg.OperationalError:
        return False
