"""What is compared: PostgreSQL itself, PgBouncer, and greenpool with several numbers of workers.

Law: equal settings. Each pooler listens on TCP, asks for no password, has POOL_SIZE servers of one
(database, user) in transaction mode, logs no connection, and leaves its reset query as it comes.
"""

from __future__ import annotations

import contextlib
import pwd
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import yaml

from benchmarks import cpu
from benchmarks.errors import BenchError
from benchmarks.plan import POOL_SIZE
from benchmarks.server import DATABASE, USER
from greenpool.demo.cluster import Cluster
from greenpool.demo.errors import DemoError
from greenpool.demo.installation import unprivileged_user
from greenpool.demo.pooler import answers, free_port
from greenpool.demo.waiting import wait_until

CLIENTS_MAX = 12_000
"""Clients that each pooler is told to accept."""

START_DEADLINE_S = 30.0
STOP_DEADLINE_S = 20.0
_WAIT_S = 120
"""How long a client waits for a server; PgBouncer's default, greenpool's is shorter."""


class Contender(Protocol):
    """What a run needs to know of whom it measures."""

    @property
    def name(self) -> str: ...
    @property
    def port(self) -> int: ...
    def usage(self) -> cpu.Usage: ...
    def log_tail(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold what a pooler is started with; `user` None: as ourselves."""

    name: str
    command: tuple[str, ...]
    directory: Path
    port: int
    user: pwd.struct_passwd | None = None


class Pooler:
    """Own one pooler in the foreground: its master and all processes below it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._log = settings.directory / f"{settings.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def port(self) -> int:
        return self.settings.port

    @property
    def pid(self) -> int:
        if self._process is None:
            raise BenchError(f"{self.name} is not running")
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers. Raises: BenchError with its log."""
        user = self.settings.user
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.settings.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.settings.directory,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                start_new_session=True,
            )
        try:
            wait_until(self._answers, START_DEADLINE_S, f"{self.name} does not answer")
        except DemoError as exc:
            raise BenchError(f"{exc}\n{self.log_tail()}") from exc

    def stop(self) -> None:
        """End it: in order, at once, by force."""
        if self._process is None:
            return
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_DEADLINE_S)
                break
        self._process = None

    def usage(self) -> cpu.Usage:
        return cpu.usage(self.pid)

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise BenchError(f"{self.name} ended while it was starting\n{self.log_tail()}")
        return answers(("127.0.0.1", self.port))


class Direct:
    """Stand for PostgreSQL without a pooler: its port, and no process to account for."""

    name = "direct"

    def __init__(self, cluster: Cluster) -> None:
        self.port = cluster.port

    def usage(self) -> cpu.Usage:
        return {}

    def log_tail(self) -> str:
        return ""


def pgbouncer(cluster: Cluster, binary: str) -> Pooler:
    """Configure PgBouncer; it refuses to run as root."""
    port = free_port()
    config = cluster.directory / "pgbouncer.ini"
    users = cluster.directory / "pgbouncer-users.txt"
    users.write_text(f'"{USER}" ""\n')
    config.write_text(_pgbouncer_ini(cluster.port, port, users))
    return Pooler(
        Settings(
            name="pgbouncer",
            command=(binary, str(config)),
            directory=cluster.directory,
            port=port,
            user=unprivileged_user(),
        )
    )


def greenpool(cluster: Cluster, workers: int) -> Pooler:
    """Configure this checkout's greenpool."""
    port = free_port()
    name = f"greenpool-{workers}w"
    config = cluster.directory / f"{name}.yaml"
    config.write_text(yaml.safe_dump(_greenpool_config(cluster, port, workers, name)))
    command = (sys.executable, "-m", "greenpool", "start", "-c", str(config))
    return Pooler(Settings(name, command, cluster.directory, port))


def _pgbouncer_ini(server_port: int, port: int, users: Path) -> str:
    return f"""\
[databases]
{DATABASE} = host=127.0.0.1 port={server_port} dbname={DATABASE}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = {POOL_SIZE}
max_client_conn = {CLIENTS_MAX}
query_wait_timeout = {_WAIT_S}
log_connections = 0
log_disconnections = 0
log_stats = 0
"""


def _greenpool_config(cluster: Cluster, port: int, workers: int, name: str) -> dict[str, object]:
    general = {
        "host": "127.0.0.1",
        "port": port,
        "workers": workers,
        "pid_file": str(cluster.directory / f"{name}.pid"),
        "max_connections": CLIENTS_MAX,
        "query_wait_timeout": f"{_WAIT_S}s",
        "log_client_connections": False,
        "log_client_disconnections": False,
    }
    pool = {
        "server_host": "127.0.0.1",
        "server_port": cluster.port,
        "pool_mode": "transaction",
        "users": [{"username": USER, "pool_size": POOL_SIZE}],  # no password: trust
    }
    return {"general": general, "pools": {DATABASE: pool}}
