"""The private PostgreSQL that all contenders are measured against."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from benchmarks.errors import BenchError
from greenpool.demo.cluster import Cluster
from greenpool.demo.installation import Installation, find_installations
from greenpool.demo.load import Target, fill
from greenpool.demo.pooler import free_port

USER = DATABASE = "bench"

_HBA = "local all all trust\nhost all all 127.0.0.1/32 trust\n"
_PASSWORD = "never asked for"
_RESERVE = 100
"""Connections beside those of the clients: the pools of all poolers, and the superuser's."""


def start_server(stack: ExitStack, directory: Path, major: int, clients: int) -> Cluster:
    """Run a PostgreSQL for so many direct clients until the stack unwinds.

    It has pgbench's tables at scale 1: they fit into its memory, the poolers are what differs.
    """
    settings = {
        "listen_addresses": "127.0.0.1",
        "max_connections": str(clients + _RESERVE),
        "autovacuum": "off",
    }
    cluster = Cluster(_installation(major), directory, free_port(), settings)
    cluster.create(USER, _PASSWORD, _HBA)
    stack.callback(cluster.stop)
    cluster.start()
    cluster.psql(["-c", f"create database {DATABASE}"], USER, _PASSWORD, "postgres")
    fill(target(cluster, cluster.port))
    return cluster


def target(cluster: Cluster, port: int) -> Target:
    """Say how pgbench reaches whatever listens on `port` of 127.0.0.1."""
    pgbench = cluster.installation.program("pgbench")
    return Target(pgbench, "127.0.0.1", port, USER, _PASSWORD, DATABASE)


def _installation(major: int) -> Installation:
    found = find_installations()
    for each in found:
        if each.major == major:
            return each
    names = ", ".join(each.title for each in found) or "none"
    raise BenchError(f"PostgreSQL {major} is not installed (found: {names})")
