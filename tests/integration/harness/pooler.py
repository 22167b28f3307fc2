"""A real greenpool, started as a user starts it, on a port and a configuration of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import psutil
import psycopg
import yaml
from psycopg.rows import dict_row

from greenpool.demo.pooler import answers
from tests.integration.harness import sanitizer
from tests.integration.harness.ports import PortLock
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.processes import descendants
from tests.integration.harness.programs import PASSWORD, Done, run_pgbench, run_psql
from tests.integration.harness.waiting import wait_for

START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 60.0
UPGRADE_S = 100.0
"""What `greenpool upgrade` gives the new generation, which on a busy machine starts slowly."""
UPGRADE_DEADLINE_S = UPGRADE_S + 30.0
"""What went wrong is for the command to say."""
ADMIN_DATABASE = "greenpool"
QUIET: dict[str, Any] = {"log_client_connections": False, "log_client_disconnections": False}
"""Settings for tests with many clients, whose comings and goings would hide the rest."""

Connection = psycopg.Connection[tuple[Any, ...]]


def _io_backend() -> dict[str, str]:
    """Return what GREENPOOL_IO_BACKEND wants; not set, each pooler takes the best there is."""
    wanted = os.environ.get("GREENPOOL_IO_BACKEND")
    return {"io_backend": wanted} if wanted else {}


def user(username: str = "app", **settings: object) -> dict[str, object]:
    """Compose one entry of a pool's `users`; the password is the one that PostgreSQL knows."""
    return {"username": username, "password": PASSWORD, "pool_size": 10, **settings}


class Pooler:
    """Own one greenpool in front of `pg`.

    `pools` maps a database name to its settings; the server's address, and a user `app` with ten
    servers, are added where they are not given. None means the databases `app` and `bench`.
    `general` are further settings of the section of that name. `web`: serve metrics on `web_port`.
    """

    def __init__(
        self,
        pg: PostgreSQL,
        workers: int = 2,
        pools: Mapping[str, Mapping[str, object]] | None = None,
        web: bool = False,
        **general: object,
    ) -> None:
        self.pg = pg
        self.workers = workers
        self.directory = Path(tempfile.mkdtemp(prefix="greenpool-test-"))
        self._port_lock = PortLock()
        self.host, self.port = "127.0.0.1", self._port_lock.port
        self._web_lock = PortLock() if web else None
        self.web_port = self._web_lock.port if self._web_lock else 0
        self.config_path = self.directory / "greenpool.yaml"
        self.log_path = self.directory / "greenpool.log"
        self._general = general
        self._pools = {
            name: dict(pool) for name, pool in (pools or {"app": {}, "bench": {}}).items()
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._masters: list[psutil.Process] = []  # of all generations, the serving one last

    # -- its life ---------------------------------------------------------------------------

    def start(self) -> None:
        """Start it in the foreground and wait until a worker answers; fail with its log."""
        self.write_config()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command("start", "-c", str(self.config_path)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=self._environment(),
                start_new_session=True,
            )
        self._masters = [psutil.Process(self._process.pid)]
        wait_for(self._answers, f"greenpool answers on port {self.port}", START_DEADLINE_S)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Ask it to end and return its exit code; None when it was not running."""
        if self._process is None:
            return None
        if self.is_running:
            self._master().send_signal(number)
        try:
            return self._wait()
        except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
            self.kill()
            raise AssertionError(
                f"greenpool did not end within {STOP_DEADLINE_S:g} s of {number.name}\n{self.log()}"
            ) from None
        finally:
            self._process = None

    def upgrade(
        self,
        *options: str,
        pools: Mapping[str, Mapping[str, object]] | None = None,
        **general: object,
    ) -> Done:
        """Change the configuration as `reload` does, then `greenpool upgrade`."""
        self.configure(pools, **general)
        patience = ("--timeout", f"{UPGRADE_S:g}")
        words = ("upgrade", "-c", str(self.config_path), *patience, *options)
        done = self.command(*words, deadline_s=UPGRADE_DEADLINE_S)
        if done.returncode == 0:
            self.follow()
        return done

    def follow(self) -> None:
        """Turn to the master that the pid file names, once that is another one."""
        file = self.directory / "greenpool.pid"
        wait_for(lambda: int(file.read_text()) != self.master_pid, "another master is there")
        self._masters.append(psutil.Process(int(file.read_text())))

    def elders(self) -> list[int]:
        """List the masters of earlier generations that have not ended."""
        if self._process is not None:
            self._process.poll()  # reaps the first one
        return [each.pid for each in self._masters[:-1] if _is_alive(each)]

    def pumps(self) -> list[psutil.Process]:
        """List the processes that keep TLS sessions of clients of earlier generations."""
        return [each for each in self._processes() if _about(each)[0] == "greenpool-pump"]

    def _processes(self) -> list[psutil.Process]:
        """List all processes of all generations."""
        return [each for each in descendants() if str(self.config_path) in _about(each)]

    def _wait(self) -> int | None:
        """Return how the master ended. Those before it end first: then it is our own child."""
        assert self._process is not None
        code = self._process.wait(STOP_DEADLINE_S)
        for master in self._masters[1:]:
            code = master.wait(STOP_DEADLINE_S)
        wait_for(lambda: not self._processes(), "TLS sessions have ended", STOP_DEADLINE_S)
        return code

    def kill(self) -> None:
        """Kill the master and everything below it, without a word."""
        below = self._master().children(recursive=True)
        for process in reversed([self._master(), *below, *self.pumps()]):
            process.kill()
        assert self._process is not None
        self._process.wait()
        self._masters[-1].wait(STOP_DEADLINE_S)

    def release(self) -> None:
        """Give the port back and remove the files; the log is gone after this."""
        self._port_lock.release()
        if self._web_lock is not None:
            self._web_lock.release()
        shutil.rmtree(self.directory)

    @property
    def is_running(self) -> bool:
        if self._process is not None:
            self._process.poll()
        return self._process is not None and _is_alive(self._master())

    @property
    def master_pid(self) -> int:
        return self._master().pid

    def worker_pids(self) -> list[int]:
        """List the workers, the oldest first; with `web` the observer is among them."""
        children = self._master().children()
        return [each.pid for each in sorted(children, key=lambda each: each.create_time())]

    # -- its configuration ------------------------------------------------------------------

    def write_config(self) -> None:
        self.config_path.touch(mode=0o600)
        self.config_path.write_text(yaml.safe_dump(self._config(), sort_keys=False))

    def reload(
        self, pools: Mapping[str, Mapping[str, object]] | None = None, **general: object
    ) -> Done:
        """Change the configuration (`pools` replaces all pools), then `greenpool reload`."""
        self.configure(pools, **general)
        return self.command("reload", "-c", str(self.config_path))

    def configure(
        self, pools: Mapping[str, Mapping[str, object]] | None = None, **general: object
    ) -> None:
        """Write a changed configuration, and tell nobody."""
        self._general.update(general)
        if pools is not None:
            self._pools = {name: dict(pool) for name, pool in pools.items()}
        self.write_config()

    # -- its clients ------------------------------------------------------------------------

    def dsn(self, user: str = "app", database: str = "app", **options: str) -> str:
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"postgresql://{user}:{PASSWORD}@{self.host}:{self.port}/{database}" + (
            f"?{query}" if query else ""
        )

    def connect(self, user: str = "app", database: str = "app", **options: Any) -> Connection:
        """Open a psycopg connection, autocommit unless told otherwise."""
        options = {"autocommit": True, "connect_timeout": 10, **options}
        return psycopg.connect(self.dsn(user, database), **options)

    def psql(self, script: str, *arguments: str, user: str = "app", database: str = "app") -> Done:
        """Feed a script to psql's standard input, through the pool."""
        return run_psql(self.pg.program("psql"), self.dsn(user, database), script, *arguments)

    def pgbench(self, *arguments: str, user: str = "app", database: str = "bench") -> str:
        """Run pgbench through the pool and return its summary; fail when it does."""
        address = (self.host, self.port)
        return run_pgbench(self.pg.program("pgbench"), address, user, database, *arguments)

    def admin(self, command: str) -> list[dict[str, Any]]:
        """Run one command of the admin console and return its rows as dictionaries."""
        general = self._config()["general"]
        with psycopg.connect(
            host=self.host,
            port=self.port,
            dbname=ADMIN_DATABASE,
            user=general["admin_username"],
            password=general["admin_password"],
            autocommit=True,
            connect_timeout=10,
        ) as connection:
            cursor = connection.cursor(row_factory=dict_row).execute(command.encode())
            return cursor.fetchall() if cursor.description else []

    def command(self, *arguments: str, deadline_s: float = STOP_DEADLINE_S) -> Done:
        """Run `greenpool <arguments>` to its end."""
        return subprocess.run(
            self._command(*arguments),
            cwd=self.directory,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline_s,
        )

    # -- its log ----------------------------------------------------------------------------

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @contextmanager
    def log_contains(self, pattern: str, deadline_s: float = 30.0) -> Iterator[None]:
        """Expect a line that matches `pattern` to be logged by what the block does."""
        before = len(self.log())
        yield
        wait_for(
            lambda: re.search(pattern, self.log()[before:]), f"log line {pattern!r}", deadline_s
        )

    def sanitizer_reports(self) -> str:
        return sanitizer.reports(self.directory)

    def sleep(self, seconds: float) -> None:
        """Let that much time pass, where the passing of time is what is tested."""
        time.sleep(seconds)

    def _master(self) -> psutil.Process:
        assert self._process is not None, "greenpool is not running"
        return self._masters[-1]

    def _answers(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"greenpool ended with code {code}\n{self.log()}"
        return answers((self.host, self.port))

    def _config(self) -> dict[str, Any]:
        general = {
            "host": self.host,
            "port": self.port,
            "workers": self.workers,
            "pid_file": str(self.directory / "greenpool.pid"),
            "admin_username": "admin",
            "admin_password": "admin-secret",
            "core_dumps": True,  # tests read their memory maps, and not only as root
            **_io_backend(),
            "proxy_copy_data_timeout": 0,  # a test may take long between two rows
            "retain_connections_time": 0,  # and does not wait for servers that nobody wants
            "client_write_timeout": 0,
            **self._general,
        }
        server = {"server_host": self.pg.host, "server_port": self.pg.port, "users": [user()]}
        web = {"enabled": True, "host": self.host, "port": self.web_port} if self.web_port else {}
        return {
            "general": general,
            "web": web,
            "pools": deepcopy({name: {**server, **pool} for name, pool in self._pools.items()}),
        }

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "greenpool", *arguments]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONUNBUFFERED": "1", **sanitizer.environment(self.directory)}


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _about(process: psutil.Process) -> list[str]:
    """Return its name and its command line."""
    try:
        return [process.name(), *process.cmdline()]
    except psutil.NoSuchProcess:
        return [""]
