"""The life of a worker process, from just after the fork to its exit.

    run: hub, engine, pump, janitor -> Ready -> Listen -> ... -> Drain -> servers closed -> Drained
                                                             HandOver -> none left ------^

Law: the one place where the parts of a worker are put together, and where it ends. A worker ends
when the master says so (Drain, or its end of the control socket closes) or by SIGTERM; both let
transactions end first, within a time. Or other workers get all it has (HandOver), which nobody
notices but sessions of the admin console: they are told 57P01 when everyone else has gone, and
what they asked for is answered before that. The TLS sessions of clients that others serve now are
left to a process of their own (`_cparser/pump.h`). Partner: `greenpool.master`, which calls `run`.
"""

from __future__ import annotations

import gc
import logging
import signal

import gevent
from gevent import socket
from gevent.event import Event as Flag
from gevent.hub import Hub
from gevent.pool import Group
from gevent.queue import Queue

from greenpool import process
from greenpool.admin.console import Console, Orders, Sources
from greenpool.engine import Engine, reason_words
from greenpool.errors import ControlError, EngineError, ExitCode
from greenpool.observe import events
from greenpool.observe import log as logs
from greenpool.observe.times import Ladder
from greenpool.protocol.errors import ClientError, Severity, SqlState
from greenpool.records import Event, EventKind, Reason
from greenpool.segment import time_bounds_ns
from greenpool.worker import (
    cancel,
    check_query,
    goodbye,
    logins,
    moves,
    rehearsal,
    retire,
    server_login,
    suspects,
)
from greenpool.worker.context import WorkerContext
from greenpool.worker.control import (
    Ask,
    Command,
    ControlMessage,
    ControlReader,
    ControlSender,
    Drain,
    Drained,
    HandOver,
    Heard,
    Listen,
    Made,
    NotMade,
    Put,
    Ready,
    Release,
    Reload,
    Reloaded,
)
from greenpool.worker.janitor import Janitor
from greenpool.worker.listener import Listeners
from greenpool.worker.pools import PoolEntry
from greenpool.worker.pump import Handler, Pump, guarded
from greenpool.worker.questions import Questions
from greenpool.worker.state import Worker

log = logging.getLogger(__name__)

LAST_WORDS_S = 1.0
"""How long clients may take, after the time is over, to hear that it is."""

HELPER_THREADS = 4
"""Threads for PBKDF2 and name resolution: few, because they compete with the hub for cores."""

_LOOK_S = 0.02
"""How often a worker that hands over looks whether somebody is still logging in."""

_ANSWER_S = 0.5
"""What is asked at the end may still be answered: most questions take some milliseconds."""

_FORK_AGAIN_S = 1.0

_ORPHAN_S = 5.0
"""How long a worker goes on handing over when its master is gone: nobody else could end it."""

_IGNORED_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
# Young objects are collected rarely: a login makes hundreds and nearly all of them die at once.
_GC_THRESHOLDS = (20_000, 20, 20)


def run(context: WorkerContext) -> int:
    """Live as a worker; return the exit status. Runs after the fork, in the child."""
    for number in _IGNORED_SIGNALS:  # they are the master's, whatever the terminal sends
        signal.signal(number, signal.SIG_IGN)
    process = _Process(context)
    process.start()
    process.serve()
    process.end()
    return ExitCode.DONE


class _Process:
    """The parts of one worker, put together."""

    def __init__(self, context: WorkerContext) -> None:
        self._index = context.index
        self._hub = _make_hub()
        self._tasks = Group()  # greenlets that owe the engine an answer
        self._is_over = Flag()
        self._is_drained = Flag()
        self._heirs: tuple[int, ...] | None = None  # not None: it leaves, others get what it has
        self._closes_servers = False  # at its end; others may go on with them
        self._term_watcher = self._hub.loop.signal(signal.SIGTERM)
        control = socket.socket(fileno=context.control.detach())
        self._sender = ControlSender(control)
        self._unsaid: Queue[ControlMessage] = Queue()
        self._reader = ControlReader(control)
        self._set_up_log(context)
        self._worker = self._make_worker(context)
        self._pump = Pump(self._worker.engine, self._handlers())
        self._listeners = Listeners(self._worker, context.listeners)
        self._questions = Questions(self._worker, self._listeners)
        self._janitor = Janitor(self._worker, self._pump.run, self._listeners.__len__)

    # ---- begin -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start all parts; the worker then waits for the word to accept clients."""
        self._pump.start(self._hub)
        self._term_watcher.start(self._on_term)
        self._speaker = gevent.spawn(self._speak)
        gevent.spawn(self._obey)
        gevent.spawn(self._janitor.run)
        gevent.spawn(self._prepare_secrets)
        rehearsal.begin(self._worker, self._hub, self._hand_over)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        self._tell(Ready())

    def serve(self) -> None:
        """Wait for the end. Everything happens in the hub and in greenlets meanwhile."""
        self._is_over.wait()

    def _make_worker(self, context: WorkerContext) -> Worker:
        worker = Worker(
            index=context.index,
            engine=Engine(context.segment, context.index, context.io),
            segment=context.segment,
            config=context.config,
            console=Console(
                Sources(context.segment, context.tallies, Ladder(time_bounds_ns())),
                lambda: self._worker.config,
                Orders(self._command, self._put, lambda topic: self._questions.ask(topic)),
            ),
            threads=self._hub.threadpool,
            tallies=context.tallies,
            tell=self._tell,
            boot_secret=context.boot_secret,
        )
        worker.pools.apply(context.config, context.pools)
        worker.lookups.apply(context.config)
        worker.tls.apply(context.config)
        check_query.set_up(worker)
        return worker

    def _handlers(self) -> dict[EventKind, Handler]:
        worker = self._worker

        def in_task(handler: Handler) -> Handler:
            return lambda event: self._tasks.spawn(guarded, handler, event)

        return {
            EventKind.OPEN: in_task(lambda event: server_login.on_event(worker, event)),
            EventKind.RETIRE: in_task(lambda event: retire.on_event(worker, event)),
            EventKind.CANCEL: in_task(lambda event: cancel.on_event(worker, event)),
            EventKind.OVERDUE: in_task(lambda event: cancel.on_overdue(worker, event)),
            EventKind.GOODBYE: lambda event: goodbye.on_event(worker, event),
            EventKind.PROVED: lambda event: self._listeners.on_proved(event),
            EventKind.SERVED: lambda event: logins.on_served(worker, event),
            EventKind.CHANGED: lambda _: logins.on_changed(worker),
            EventKind.GUEST: lambda _: self._listeners.on_guest(),
            EventKind.DRAINED: self._on_drained,
            EventKind.ARRIVED: lambda event: moves.on_arrived(worker, event),
            EventKind.SUSPECTS: lambda event: suspects.on_event(worker, event),
        }

    def _set_up_log(self, context: WorkerContext) -> None:
        general = context.config.general
        logs.setup(general.log_level, general.log_format, general.syslog_prog_name, self._index)

    def _prepare_secrets(self) -> None:
        """Greenlet: run PBKDF2 for the plain passwords now, not at their users' first login."""
        worker = self._worker
        for verifier in worker.pools.verifiers():
            worker.secret_of(verifier)

    # ---- the master's words ----------------------------------------------------------------

    def _obey(self) -> None:
        """Greenlet: do what the master says, until it says nothing more."""
        try:
            while (messages := self._reader.receive()) is not None:
                for message in messages:
                    self._do(message)
            events.MASTER_GONE.tell(log)
            self._closes_servers = False
            if self._heirs is not None:  # who is here yet may still go
                gevent.sleep(_ORPHAN_S)
        except (ControlError, OSError) as exc:
            events.BUG.tell(log, exc, what="cannot understand the master")
        self._is_over.set()

    def _do(self, message: ControlMessage) -> None:
        if isinstance(message, Reload):
            self._reload(message)
        elif isinstance(message, Drain):
            self._drain(message.timeout_s)
        elif isinstance(message, Listen):
            self._closes_servers = True
            self._listeners.start()
        elif isinstance(message, HandOver):
            self._hand_over(message.places)
        elif isinstance(message, Made):
            self._worker.found.on_made(message)
        elif isinstance(message, NotMade):
            self._worker.found.on_not_made(message)
        elif isinstance(message, Release):
            self._worker.found.on_release(message)
        elif isinstance(message, Ask):
            self._questions.on_ask(message)
        elif isinstance(message, Heard):
            self._questions.on_heard(message)
        else:
            raise ControlError(f"a {type(message).__name__} is for the master")

    def _command(self, name: str) -> None:
        """Pass on what the administrator wants. Switches: no."""
        self._tell(Command(name))

    def _put(self, name: str, text: str) -> None:
        """Pass on what the administrator sets. Switches: no."""
        self._tell(Put(name, text))

    def _tell(self, message: ControlMessage) -> None:
        """Have something said to the master. Switches: no."""
        self._unsaid.put(message)

    def _speak(self) -> None:
        """Greenlet: say it, one message after the other, whoever wants to say something."""
        try:
            for message in self._unsaid:
                self._sender.send(message)
        except OSError as exc:
            log.debug("the master does not hear any more: %s", exc)

    def _reload(self, message: Reload) -> None:
        worker = self._worker
        worker.adopt(message.config)
        general = message.config.general
        logs.setup(general.log_level, general.log_format, general.syslog_prog_name, self._index)
        worker.tls.apply(message.config)
        self._listeners.apply(general)
        gone = worker.pools.apply(message.config, message.pools)
        worker.lookups.apply(message.config)
        for entry in gone:
            self._dismiss(entry)
        check_query.set_up(worker)
        gevent.spawn(self._prepare_secrets)
        self._tell(Reloaded())

    def _dismiss(self, entry: PoolEntry) -> None:
        """End the clients of a pool that is no more."""
        worker = self._worker
        for client in worker.engine.clients():
            row = worker.segment.client_row(client)
            if row is not None and row.pool == entry.index + 1:
                worker.engine.kill(client, Reason.KILLED)
        self._pump.run()

    # ---- end -------------------------------------------------------------------------------

    def end(self) -> None:
        """Close what is left: clients, then servers. Every step has a deadline."""
        self._listeners.stop()
        self._say_last_words()
        worker = self._worker
        if self._closes_servers:
            for entry in worker.pools:
                worker.engine.retire_idle(entry.index, Reason.SHUTDOWN)
        self._pump.run()
        self._tasks.join(timeout=retire.HANG_UP_S)
        self._leave_pumps()
        self._pump.stop()
        self._tell(Drained())
        self._unsaid.put(StopIteration)
        self._speaker.join(timeout=LAST_WORDS_S)

    def _leave_pumps(self) -> None:
        """Have the TLS sessions of clients that have moved outlive this process."""
        engine = self._worker.engine
        while engine.pumps():
            self._hub.threadpool.join()
            try:
                engine.leave_pumps()
            except EngineError as exc:
                events.TLS_SESSIONS_STAY.tell(log, clients=engine.pumps(), error=exc)
                gevent.sleep(_FORK_AGAIN_S)

    def _on_term(self) -> None:
        self._drain(self._worker.config.general.shutdown_timeout_ms / 1000)

    def _drain(self, timeout_s: float) -> None:
        """Accept nobody, end clients as they become idle, all of them when the time is over.

        Told again, it only takes the time: whichever is over first ends the worker.
        """
        log.debug("draining, for %g s at most", timeout_s)
        gevent.spawn_later(timeout_s, self._is_over.set)
        if self._worker.is_draining:
            return
        self._worker.is_draining = True
        self._listeners.stop()
        self._listeners.dismiss(_shutting_down())
        engine = self._worker.engine
        for client in engine.clients():
            if engine.is_own(client):  # who wanted its answer has been dismissed
                self._worker.engine.kill(client, Reason.SHUTDOWN)
        engine.drain()
        gevent.spawn(self._pump.run)

    def _hand_over(self, places: tuple[int, ...]) -> None:
        """Accept nobody; give clients and servers to other workers, and end when all have gone.

        Clients that are logging in do so, and then go. Told again, others get the rest.
        """
        if self._worker.is_draining:
            return
        log.debug("handing over to %s", places)
        is_first, self._heirs = self._heirs is None, places
        self._worker.is_leaving = True
        self._closes_servers = False
        self._listeners.stop()
        self._worker.engine.hand_over(places)
        gevent.spawn(self._pump.run)
        if is_first:
            process.outlive_parent()
            gevent.spawn(self._leave)

    def _leave(self) -> None:
        """Greenlet: end when nobody is left. client_login_timeout bounds the first wait.

        Nobody needs the answers to questions then that wait for a server still, in a pool that is
        paused for example: the heirs ask for themselves.
        """
        while self._listeners.logins():
            gevent.sleep(_LOOK_S)
        self._worker.questions.join(timeout=_ANSWER_S)
        self._worker.questions.kill(block=False)
        self._is_drained.clear()
        self._worker.engine.hand_over(self._heirs or ())  # it tells once more that it is drained
        self._is_drained.wait()
        self._is_over.set()

    def _on_drained(self, _event: Event) -> None:
        self._is_drained.set()
        if self._heirs is None or self._worker.is_draining:
            self._is_over.set()

    def _say_last_words(self) -> None:
        """Tell clients that are still here why they are closed; what they ran is cancelled."""
        worker = self._worker
        for client in worker.engine.clients():
            worker.engine.kill(client, Reason.SHUTDOWN)
        self._listeners.dismiss(_shutting_down())
        with gevent.Timeout(LAST_WORDS_S, False):
            while worker.engine.client_count() or len(self._listeners):
                self._pump.run()
                gevent.sleep(0.01)


def _make_hub() -> Hub:
    """Make this process's hub. What fails in it is logged like everything else."""
    hub = gevent.get_hub()
    hub.threadpool.maxsize = HELPER_THREADS

    def log_failure(context: object, _kind: object, value: BaseException, _trace: object) -> None:
        events.BUG.tell(log, value, what=f"{context} failed")

    hub.print_exception = log_failure
    return hub


def _shutting_down() -> ClientError:
    sqlstate, message = reason_words(Reason.SHUTDOWN)
    return ClientError(Severity.FATAL, SqlState(sqlstate), message)
