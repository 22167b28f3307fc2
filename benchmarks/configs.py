"""How each pooler is configured.

Law: equal settings. Each pooler listens on TCP, offers TLS if it takes part in the rows with it
(clients ask for it in no other), has none towards the server, knows two users, one that is asked
for no password and one that logs in by SCRAM, has POOL_SIZE servers of each in transaction mode,
lets clients wait equally long, logs no connection, and leaves everything else as it comes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

from benchmarks.contenders import Pooler, Settings
from benchmarks.plan import POOL_SIZE, Mode
from benchmarks.record import program_version
from benchmarks.server import DATABASE, PASSWORD, SCRAM_SECRET, SCRAM_USER, USER, Backend
from greenpool.config.choices import IoBackend
from greenpool.demo.installation import unprivileged_user
from greenpool.demo.pooler import free_port

CLIENTS_MAX = 12_000
"""Clients that each pooler is told to accept."""

_WAIT_S = 120
"""How long a client waits for a server; PgBouncer's default, others' is shorter."""

_HBA = f"host all {USER} 127.0.0.1/32 trust\nhost all {SCRAM_USER} 127.0.0.1/32 scram-sha-256\n"

_PGBOUNCER_PREPARES = (1, 21)
"""The first PgBouncer that has prepared statements in transaction mode."""


def greenpool(
    backend: Backend,
    workers: int,
    io_backend: IoBackend = IoBackend.AUTO,
    pool_size: int = POOL_SIZE,
) -> Pooler:
    """Configure this checkout's greenpool."""
    name = f"greenpool-{workers}w"
    if io_backend is not IoBackend.AUTO:
        name += f"-{io_backend}"
    port, directory = free_port(), backend.directory
    config = directory / f"{name}.yaml"
    general = {
        "host": "127.0.0.1",
        "port": port,
        "workers": workers,
        "io_backend": str(io_backend),
        "pid_file": str(directory / f"{name}.pid"),
        "max_connections": CLIENTS_MAX,
        "query_wait_timeout": f"{_WAIT_S}s",
        "log_client_connections": False,
        "log_client_disconnections": False,
        "core_dumps": True,  # only root could read how much memory it has otherwise
        "tls_mode": "allow",
        "tls_certificate": str(backend.certificate),
        "tls_private_key": str(backend.key),
        "server_tls_mode": "disable",
    }
    pool = {
        "server_host": "127.0.0.1",
        "server_port": backend.port,
        "pool_mode": "transaction",
        "users": [
            {"username": USER, "pool_size": pool_size},  # no password: trust
            {"username": SCRAM_USER, "password": SCRAM_SECRET, "pool_size": pool_size},
        ],
    }
    config.write_text(yaml.safe_dump({"general": general, "pools": {DATABASE: pool}}))
    command = (sys.executable, "-m", "greenpool", "start", "-c", str(config))
    return Pooler(Settings(name, command, directory, port, encrypts=True))


def pgbouncer(backend: Backend, binary: str) -> Pooler:
    """Configure PgBouncer; it refuses to run as root, and has one process only."""
    port, directory = free_port(), backend.directory
    hba = _file(directory / "pgbouncer-hba.conf", _HBA)
    users = _file(
        directory / "pgbouncer-users.txt", f'"{USER}" ""\n"{SCRAM_USER}" "{SCRAM_SECRET}"\n'
    )
    prepares = _version(binary) >= _PGBOUNCER_PREPARES
    text = f"""\
[databases]
{DATABASE} = host=127.0.0.1 port={backend.port} dbname={DATABASE}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = hba
auth_hba_file = {hba}
auth_file = {users}
pool_mode = transaction
default_pool_size = {POOL_SIZE}
max_client_conn = {CLIENTS_MAX}
query_wait_timeout = {_WAIT_S}
log_connections = 0
log_disconnections = 0
log_stats = 0
client_tls_sslmode = allow
client_tls_cert_file = {backend.certificate}
client_tls_key_file = {backend.key}
server_tls_sslmode = disable
{"max_prepared_statements = 200" if prepares else ""}
"""
    config = _file(directory / "pgbouncer.ini", text)
    modes = frozenset(Mode) if prepares else frozenset(Mode) - {Mode.PREPARED}
    command = (binary, str(config))
    user = unprivileged_user()
    return Pooler(Settings("pgbouncer", command, directory, port, user, modes, encrypts=True))


def odyssey(backend: Backend, binary: str, workers: int) -> Pooler:
    """Configure Odyssey; a worker is a thread. Source: Odyssey, "Configuration"."""
    port, directory = free_port(), backend.directory
    users = "".join(
        f"""\
    user "{user}" {{
        {authentication}
        storage "server"
        storage_user "{user}"
        storage_password "{PASSWORD}"
        pool "transaction"
        pool_size {POOL_SIZE}
        pool_timeout {_WAIT_S * 1000}
        pool_discard no
        pool_smart_discard no
        pool_reserve_prepared_statement yes
        client_fwd_error yes
    }}
"""
        for user, authentication in (
            (USER, 'authentication "none"'),
            (SCRAM_USER, f'authentication "scram-sha-256"\n        password "{SCRAM_SECRET}"'),
        )
    )
    text = f"""\
daemonize no
workers {workers}
client_max {CLIENTS_MAX}
log_format "%p %t %l [%i %s] (%c) %m\\n"
log_to_stdout yes
log_config no
log_debug no
log_session no
log_query no
log_stats no
storage "server" {{
    type "remote"
    host "127.0.0.1"
    port {backend.port}
}}
database "{DATABASE}" {{
{users}}}
listen {{
    host "127.0.0.1"
    port {port}
    backlog 4096
}}
"""
    config = _file(directory / "odyssey.conf", text)
    command = (binary, str(config))
    return Pooler(Settings("odyssey", command, directory, port, unprivileged_user()))


def pgdoorman(backend: Backend, binary: str, workers: int) -> Pooler:
    """Configure PgDoorman; a worker is a thread. Source: PgDoorman, "General settings"."""
    port, directory = free_port(), backend.directory
    general = {
        "host": "127.0.0.1",
        "port": port,
        "worker_threads": workers,
        "max_connections": CLIENTS_MAX,
        "query_wait_timeout": _WAIT_S * 1000,
        "log_client_connections": False,
        "log_client_disconnections": False,
        "pg_hba": {"content": _HBA},
        "admin_username": "admin",
        "admin_password": PASSWORD,
    }
    pool = {
        "server_host": "127.0.0.1",
        "server_port": backend.port,
        "pool_mode": "transaction",
        "users": [
            {"username": USER, "password": "", "pool_size": POOL_SIZE},
            {"username": SCRAM_USER, "password": SCRAM_SECRET, "pool_size": POOL_SIZE},
        ],
    }
    text = yaml.safe_dump({"general": general, "pools": {DATABASE: pool}})
    config = _file(directory / "pgdoorman.yaml", text)
    command = (binary, str(config))
    return Pooler(Settings("pgdoorman", command, directory, port, unprivileged_user()))


def _file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _version(binary: str) -> tuple[int, ...]:
    """Ask a program for the numbers of its version: (1, 25, 2)."""
    return numbers_of(program_version(binary))


def numbers_of(title: str) -> tuple[int, ...]:
    """Read the numbers in "PgBouncer 1.25.2"; none: nothing is known."""
    match = re.search(r"\d+(\.\d+)*", title)
    return tuple(map(int, match[0].split("."))) if match else ()
