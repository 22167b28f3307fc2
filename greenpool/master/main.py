"""Bring the master up in order, run it, take it down in reverse order.

    load and check ─► (daemon) ─► log ─► file limit ─► user ─► pid file ─► listeners ─► segment
                                               workers, observer ◄─ supervise ◄─ control socket

A master that is to take over from another is started by that one, in the same way: it finds its
listeners and its segment in what it inherits, and says there, too, why it cannot start. Privileges
are dropped before any file is made, so that whoever must remove it at the end owns it. Only what
was checked is undone: a start that fails leaves nothing behind.
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
from dataclasses import dataclass, replace
from pathlib import Path

import greenpool
from greenpool import config as configuration
from greenpool import process
from greenpool.config import Config, members
from greenpool.errors import ConfigError, ExitCode, GreenpoolError
from greenpool.master import activation, io_backend, observer, pools
from greenpool.master.daemon import run_in_background
from greenpool.master.estate import Estate
from greenpool.master.handoff import Handoff
from greenpool.master.inheritance import Inheritance
from greenpool.master.io_backend import IoChoice
from greenpool.master.lifeline import Lifeline
from greenpool.master.limits import FileLimit, files_needed, raise_file_limit
from greenpool.master.listeners import Listeners
from greenpool.master.live import LiveConfig, set_up_log
from greenpool.master.notify import Notifier
from greenpool.master.paths import find_config
from greenpool.master.pools import places_for
from greenpool.master.predecessor import Predecessor
from greenpool.master.presence import Presence
from greenpool.master.program import Program
from greenpool.master.supervisor import Supervisor
from greenpool.master.workers import Life
from greenpool.observe import events
from greenpool.observe.event import keep_with
from greenpool.records import EngineIo
from greenpool.segment import Segment
from greenpool.tallies import Tallies
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
    program = Program.of_this_process()
    path = find_config(config_file)

    def load() -> Config:
        loaded = load_checked(path)
        if pid_file is None:
            return loaded
        return replace(loaded, general=replace(loaded.general, pid_file=pid_file.absolute()))

    birth = Birth(program, path, load)
    if (inheritance := Inheritance.take(os.environ)) is not None:
        return _succeed(birth, inheritance)
    config = load()
    if not daemon:
        return _serve_in_foreground(birth, config)
    if config.general.pid_file is None:
        raise ConfigError(
            [f"{path}: --daemon needs general.pid_file, or --pid-file: nobody could stop it"]
        )
    return run_in_background(lambda ready: serve(birth, config, ready))


def load_checked(path: Path) -> Config:
    """Load a configuration that greenpool can run with, its TLS files included.

    Raises: ConfigError with every problem.
    """
    loaded = configuration.load(path, os.environ)
    return replace(loaded, warnings=loaded.warnings + tls_contexts.check(loaded, time.time()))


@dataclass(frozen=True, slots=True)
class Birth:
    """How this master came into the world, and where it has its configuration from."""

    program: Program
    config_file: Path
    load: Callable[[], Config]


@dataclass(frozen=True, slots=True)
class Legacy:
    """What another master has left to this one, and that master."""

    inheritance: Inheritance
    predecessor: Predecessor


def _serve_in_foreground(birth: Birth, config: Config) -> ExitCode:
    try:
        return serve(birth, config, lambda: None)
    except GreenpoolError as exc:
        return exc.exit_code  # the log, which is before the same eyes, has told it


def _succeed(birth: Birth, inheritance: Inheritance) -> ExitCode:
    """Take over from the master that started this process; it is told why that cannot be."""
    handoff = Handoff(socket.socket(fileno=inheritance.handoff_fd))
    elder = Lifeline(inheritance.elder_lifeline_fd, -1)
    predecessor = Predecessor(handoff, elder, inheritance)
    try:
        return serve(birth, birth.load(), lambda: None, Legacy(inheritance, predecessor))
    except GreenpoolError as exc:
        predecessor.failed(str(exc))
        return exc.exit_code


def serve(
    birth: Birth, config: Config, ready: Callable[[], None], legacy: Legacy | None = None
) -> ExitCode:
    """Be the master, in this process; `ready` is called once all workers serve.

    Raises: StartupError, EngineError.
    """
    set_up_log(config, None)
    events.STARTING.tell(
        log,
        version=greenpool.__version__,
        files=", ".join(str(file) for file in config.files),
        python=platform.python_version(),
    )
    for warning in config.warnings:
        events.CONFIG_WARNING.tell(log, warning=warning)
    try:
        limit = _set_up_process(config)
        with ExitStack() as stack:
            code = _build(stack, birth, config, limit, ready, legacy).run()
    except GreenpoolError as exc:
        events.START_FAILED.tell(log, error=exc)
        raise
    events.STOPPED.tell(log)
    return code


def _set_up_process(config: Config) -> FileLimit:
    """Take the files that are needed, then become the user who runs greenpool."""
    general = config.general
    servers = pools.server_count(config)
    places = places_for(general.workers)
    limit = raise_file_limit(files_needed(general.max_connections, servers, places))
    if general.user is not None:
        process.drop_privileges(general.user)
    process.harden(general.core_dumps)
    return limit


def _build(
    stack: ExitStack,
    birth: Birth,
    config: Config,
    limit: FileLimit,
    ready: Callable[[], None],
    legacy: Legacy | None,
) -> Supervisor:
    """Make everything, each with its undo on the stack."""
    left = legacy.inheritance if legacy else None
    io = io_backend.choose(config.general.io_backend)
    presence = _claim(config, left)
    if presence is not None:
        stack.callback(presence.close)
    listeners = (
        Listeners(left.listeners, left.are_activated)
        if left
        else Listeners.activated(activation.take(os.environ))
    )
    stack.callback(listeners.close)
    _listen(listeners, config)
    web = observer.listen(config.web, left.web if left else ())
    stack.callback(web.close)
    segment = _segment(config, left)
    stack.callback(segment.close)
    keep_with(lambda kind, text: segment.chronicle.add(kind, None, text))
    stack.callback(keep_with, None)
    estate = _estate(birth, config, presence, listeners, web, segment, left)
    _log_start(config, estate, limit, io)

    def on_ready() -> None:
        version, generation = greenpool.__version__, estate.generation
        events.READY.tell(log, version=version, generation=generation)
        ready()

    predecessor = legacy.predecessor if legacy else None
    supervisor = Supervisor(estate, _life(estate, segment, io.io), on_ready, predecessor)
    stack.callback(supervisor.close)
    gc.collect()
    gc.freeze()  # what is made by now is never collected in a worker, so its pages stay shared
    return supervisor


def _claim(config: Config, left: Inheritance | None) -> Presence | None:
    path = config.general.pid_file
    if path is None:
        return None
    presence = Presence(path)
    presence.claim(aside=left is not None and left.pid_file == str(path))
    return presence


def _segment(config: Config, left: Inheritance | None) -> Segment:
    if left is not None:
        own_fd, common_fd, *_ = left.segment_fds
        return Segment.attach(own_fd, common_fd)
    return Segment.create(
        places_for(config.general.workers), pools.pools_max(config), pools.clients_max(config)
    )


def _estate(
    birth: Birth,
    config: Config,
    presence: Presence | None,
    listeners: Listeners,
    web: Listeners,
    segment: Segment,
    left: Inheritance | None,
) -> Estate:
    live = LiveConfig(config, birth.load, segment, is_first=left is None)
    if left is not None and segment.is_fresh:
        events.LAYOUT_CHANGED.tell(log, from_version=left.program)
    workers = config.general.workers
    places = left.free_places[:workers] if left else tuple(range(workers))
    if len(places) < workers:
        events.PLACES_SHORT.tell(log, workers=len(places))
    for key in live.not_applied():
        events.CONFIG_NOT_APPLIED.tell(log, key=key)
    return Estate(
        generation=left.generation if left else 1,
        started_s=left.started_s if left else time.monotonic(),
        program=birth.program,
        config_file=birth.config_file,
        live=live,
        segment=segment,
        listeners=listeners,
        web=web,
        presence=presence,
        notifier=Notifier(os.environ),
        tallies=Tallies.create(segment.pools_max, segment.workers),
        places=places,
        lifeline=Lifeline(*left.lifeline_fds) if left else Lifeline.make(),
        boot_secret=bytes.fromhex(left.boot_secret) if left else secrets.token_bytes(_SECRET_BYTES),
    )


def _listen(listeners: Listeners, config: Config) -> None:
    general = config.general
    listeners.open_all(
        general.host,
        general.port,
        general.unix_socket_dir,
        general.unix_socket_mode,
        general.listen_backlog,
    )


def _life(estate: Estate, segment: Segment, io: EngineIo) -> Life:
    """Return what a worker does from its first instruction to its exit status."""
    live = estate.live

    def life(index: int, control: socket.socket) -> int:
        set_up_log(live.config, index)
        keep_with(lambda kind, text: segment.chronicle.add(kind, index, text))
        if live.config.general.worker_cpu_affinity_pinning:
            events.WORKER_PINNED.tell(log, core=process.pin(index))
        context = WorkerContext(
            index=index,
            io=io,
            segment=segment,
            listeners=estate.listeners.sockets,
            config=live.config,
            pools=live.pools,
            control=control,
            tallies=estate.tallies,
            boot_secret=estate.boot_secret,
        )
        return run_worker(context)

    return life


def _log_start(config: Config, estate: Estate, limit: FileLimit, io: IoChoice) -> None:
    for address in estate.listeners.addresses():
        events.LISTENING.tell(log, address=address)
    for address in estate.web.addresses():
        events.METRICS_SERVED.tell(log, url=f"http://{address}/metrics")
    if io.refusal is not None:
        events.IO_URING_REFUSED.tell(log, error=io.refusal)
    events.CAPACITY.tell(
        log,
        workers=len(estate.places),
        io_backend=io.io,
        pools=sum(1 for _ in members(config)),
        servers_max=pools.server_count(config),
        clients_max=config.general.max_connections,
        files_max=limit.granted,
    )
