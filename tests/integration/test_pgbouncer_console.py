"""The console beside PgBouncer's own, and read by a tool that was written for that."""

from __future__ import annotations

import os
import subprocess
import urllib.error
import urllib.request
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
        *("peer_pools", "peers", "pools", "servers", "sockets", "state", "stats", "stats_averages"),
        *("stats_totals", "totals", "users", "version"),
    }
)
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


def test_debians_exporter_works_unchanged(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1)
    with pooler.connect() as connection:
        connection.execute("select 1")
    lock = PortLock()
    process = subprocess.Popen(
        [
            *("prometheus-pgbouncer-exporter", "--host", "127.0.0.1", "--port", str(lock.port)),
            *("--pgbouncer-host", pooler.host, "--pgbouncer-port", str(pooler.port)),
            *("--pgbouncer-user", "admin"),
        ],
        stderr=subprocess.PIPE,
        env={**os.environ, "PGPASSWORD": "admin-secret"},
    )
    try:
        wait_for(lambda: process.poll() is not None or _scrape(lock.port), "the exporter answers")
        assert process.poll() is None, process.communicate()[1]
        told = [line for line in _scrape(lock.port).splitlines() if "pgbouncer_" in line]
    finally:
        process.terminate()
        process.communicate()
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
