"""Bring the master up in order, run it, take it down in reverse order.

    load and check ─► (daemon) ─► log ─► file limit ─► user ─► pid file ─► listeners ─► segment
                                                         workers ◄─ supervise ◄─ control socket

Privileges are dropped before any file is made, so that whoever must remove it at the end owns it.
Only what was checked is undone: a start that fails leaves nothing behind.
"""

from __future__ import annotations

import gc
import logging
import os
import platform
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import greenpool
from greenpool import config as configuration
from greenpool.config import Config
from greenpool.engine import EngineIo, Segment
from greenpool.errors import ConfigError, ExitCode, GreenpoolError
from greenpool.master import io_backend, pools, process
from greenpool.master.control import ControlServer
from greenpool.master.daemon import run_in_background
from greenpool.master.io_backend import IoChoice
from greenpool.master.limits import FileLimit, files_needed, raise_file_limit
from greenpool.master.listeners import Listeners
from greenpool.master.live import LiveConfig, set_up_log
from greenpool.master.paths import control_path, find_config
from greenpool.master.pidfile import PidFile
from greenpool.master.supervisor import Supervisor
from greenpool.master.workers import Life
from greenpool.worker import tls_contexts
from greenpool.worker.context import WorkerContext
from greenpool.worker.main import run as run_worker

log = logging.getLogger(__name__)

_SECRET_BYTES = 32


def start(config_file: Path | None, daemon: bool, pid_file: Path | None) -> ExitCode:
    """Run greenpool until it is told to stop; as a daemon, until that is ready.

    `config_file` None: the default one; `pid_file` overrides general.pid_file, also at reloads.
    Raises: ConfigError, StartupError.
    """
    path = find_config(config_file)

    def load() -> Config:
        loaded = load_checked(path)
        if pid_file is None:
            return loaded
        return replace(loaded, general=replace(loaded.general, pid_file=pid_file.absolute()))

    config = load()
    if not daemon:
        return _serve_in_foreground(config, load)
    if config.general.pid_file is None:
        raise ConfigError(
            [f"{path}: --daemon needs general.pid_file, or --pid-file: nobody could stop it"]
        )
    return run_in_background(lambda ready: serve(config, load, ready))


def load_checked(path: Path) -> Config:
    """Load a configuration that greenpool can run with, its TLS files included.

    Raises: ConfigError with every problem.
    """
    loaded = configuration.load(path, os.environ)
    return replace(loaded, warnings=loaded.warnings + tls_contexts.check(loaded, time.time()))


def _serve_in_foreground(config: Config, load: Callable[[], Config]) -> ExitCode:
    try:
        return serve(config, load, lambda: None)
    except GreenpoolError as exc:
        return exc.exit_code  # the log, which is before the same eyes, has told it


def serve(config: Config, load: Callable[[], Config], ready: Callable[[], None]) -> ExitCode:
    """Be the master, in this process; `ready` is called once all workers serve.

    Raises: StartupError, EngineError.
    """
    set_up_log(config, None)
    log.info(
        "greenpool %s starts with %s (Python %s)",
        greenpool.__version__,
        ", ".join(str(file) for file in config.files),
        platform.python_version(),
    )
    for warning in config.warnings:
        log.warning("%s", warning)
    try:
        limit = _set_up_process(config)
        with ExitStack() as stack:
            code = _build(stack, config, load, limit, ready).run()
    except GreenpoolError as exc:
        log.error("%s", exc)
        raise
    log.info("stopped")
    return code


def _set_up_process(config: Config) -> FileLimit:
    """Take the files that are needed, then become the user who runs greenpool."""
    general = config.general
    servers = pools.server_count(config)
    limit = raise_file_limit(files_needed(general.max_connections, servers, general.workers))
    if general.user is not None:
        process.drop_privileges(general.user)
    process.harden(general.core_dumps)
    return limit


def _build(
    stack: ExitStack,
    config: Config,
    load: Callable[[], Config],
    limit: FileLimit,
    ready: Callable[[], None],
) -> Supervisor:
    """Make everything, each with its undo on the stack."""
    general = config.general
    io = io_backend.choose(general.io_backend)
    pid_file = PidFile.acquire(general.pid_file) if general.pid_file is not None else None
    if pid_file is not None:
        stack.callback(pid_file.release)
    listeners = Listeners()
    listeners.open_all(
        general.host,
        general.port,
        general.unix_socket_dir,
        general.unix_socket_mode,
        general.listen_backlog,
    )
    stack.callback(listeners.close)
    segment = Segment.create(general.workers, pools.pools_max(config), pools.clients_max(config))
    stack.callback(segment.close)
    live = LiveConfig(config, load, segment)
    _log_start(config, listeners, limit, io)

    def on_ready() -> None:
        log.info("ready")
        ready()

    supervisor = Supervisor(
        live, segment, listeners, _life(live, segment, listeners, io.io), on_ready
    )
    stack.callback(supervisor.close)
    if pid_file is not None:
        _add_control(stack, supervisor, pid_file)
    gc.collect()
    gc.freeze()  # what is made by now is never collected in a worker, so its pages stay shared
    return supervisor


def _add_control(stack: ExitStack, supervisor: Supervisor, pid_file: PidFile) -> None:
    control = ControlServer(control_path(pid_file.path), supervisor.selector, supervisor.command)
    stack.callback(control.close)
    supervisor.disinherit += [control.close_in_child, pid_file.close_in_child]


def _life(live: LiveConfig, segment: Segment, listeners: Listeners, io: EngineIo) -> Life:
    """Return what a worker does from its first instruction to its exit status."""
    boot_secret = secrets.token_bytes(_SECRET_BYTES)

    def life(index: int, control: socket.socket) -> int:
        set_up_log(live.config, index)
        if live.config.general.worker_cpu_affinity_pinning:
            log.info("pinned to core %d", process.pin(index))
        context = WorkerContext(
            index=index,
            io=io,
            segment=segment,
            listeners=listeners.sockets,
            config=live.config,
            pools=live.pools,
            control=control,
            boot_secret=boot_secret,
        )
        return run_worker(context)

    return life


def _log_start(config: Config, listeners: Listeners, limit: FileLimit, io: IoChoice) -> None:
    general = config.general
    for address in listeners.addresses():
        log.info("listening on %s", address)
    if io.refusal is not None:
        log.info("io_uring cannot be used, epoll takes its place: %s", io.refusal)
    log.info(
        "workers: %d (%s); pools: %d (%d servers at most); clients: %d at most; open files: %d",
        general.workers,
        io.io,
        sum(1 for _ in pools.members(config)),
        pools.server_count(config),
        general.max_connections,
        limit.granted,
    )
