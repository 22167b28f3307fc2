"""What all contenders stand in front of: a private PostgreSQL, or a null server."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import certificate
from benchmarks.errors import BenchError
from benchmarks.tools import start_null_server
from greenpool.auth.secret import build_scram_secret
from greenpool.demo.cluster import Cluster
from greenpool.demo.installation import Installation, find_installations
from greenpool.demo.load import Target, fill
from greenpool.demo.pooler import free_port

USER = DATABASE = "bench"
"""A user who is asked for no password, by PostgreSQL and by all poolers."""

SCRAM_USER = "scram"
PASSWORD = "of-the-benchmarks"
"""A user who proves this by SCRAM everywhere."""

SCRAM_SECRET = build_scram_secret(PASSWORD, b"sixteen of bytes", iterations=1).text()
"""What PostgreSQL and all poolers store of it, so that none of them derives keys at a login; with a
single iteration, since the client's 4096 would be most of what is measured."""

_HBA = """\
local all all trust
host all scram 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""
_RESERVE = 400
"""Connections beside those of the clients: two pools of every pooler, and the superuser's."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Hold where it listens on 127.0.0.1, and where the files of its poolers may lie."""

    title: str
    port: int
    directory: Path

    @property
    def certificate(self) -> Path:
        """What poolers show in the rows with TLS."""
        return self.directory / certificate.CERTIFICATE

    @property
    def key(self) -> Path:
        return self.directory / certificate.KEY


def start_postgres(stack: ExitStack, directory: Path, major: int, clients: int) -> Cluster:
    """Run a PostgreSQL for so many direct clients until the stack unwinds.

    It has pgbench's tables at scale 1: they fit into its memory, the poolers are what differs.
    """
    settings = {
        "listen_addresses": "127.0.0.1",
        "max_connections": str(clients + _RESERVE),
        "autovacuum": "off",
    }
    cluster = Cluster(_installation(major), directory, free_port(), settings)
    cluster.create(USER, PASSWORD, _HBA)
    stack.callback(cluster.stop)
    cluster.start()
    cluster.psql(["-c", f"create database {DATABASE}"], USER, PASSWORD, "postgres")
    fill(target(cluster, cluster.port, USER))
    role = f"create role {SCRAM_USER} superuser login password '{SCRAM_SECRET}'"
    cluster.psql(["-c", role, "-c", "create table copied (line text)"], USER, PASSWORD, DATABASE)
    return cluster


def backend_of(cluster: Cluster) -> Backend:
    certificate.make(cluster.directory)
    return Backend(cluster.installation.title, cluster.port, cluster.directory)


def start_null(stack: ExitStack, directory: Path) -> Backend:
    """Run a null server until the stack unwinds."""
    directory.chmod(0o755)
    certificate.make(directory)
    return Backend("null server", start_null_server(stack), directory)


def target(cluster: Cluster, port: int, user: str) -> Target:
    """Say how PostgreSQL's programs reach whatever listens on `port` of 127.0.0.1."""
    pgbench = cluster.installation.program("pgbench")
    return Target(pgbench, "127.0.0.1", port, user, PASSWORD, DATABASE, sslmode="disable")


def _installation(major: int) -> Installation:
    found = find_installations()
    for each in found:
        if each.major == major:
            return each
    names = ", ".join(each.title for each in found) or "none"
    raise BenchError(f"PostgreSQL {major} is not installed (found: {names})")
