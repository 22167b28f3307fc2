"""The master's loop: wait, handle signals, reap, manage. Everything it does begins here.

    STARTING ──all workers are ready──► RUNNING ──TERM, INT, stop──► DRAINING
        │                                  │                            │ a second one, time is up
        └──────────QUIT, stop now──────────┴────────────────────────────┴──► STOPPING

The loop sleeps in one selector over the signal queue, the workers' sockets and the control
socket; nothing in it blocks for longer than a file read at reload. It ends when no worker is left
and none will come.
"""

from __future__ import annotations

import logging
import os
import selectors
import time
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

import greenpool
from greenpool.errors import ExitCode, StartupError
from greenpool.master import status
from greenpool.master.control import Reply
from greenpool.master.listeners import Listeners
from greenpool.master.live import LiveConfig
from greenpool.master.pools import Segment
from greenpool.master.rollout import Rollout
from greenpool.master.signals import SignalQueue, Verb
from greenpool.master.slot import WorkerSlot, WorkerState
from greenpool.master.workers import Life, Workers
from greenpool.worker.control import Command, ControlMessage, Drain, Reloaded

log = logging.getLogger(__name__)

# At their deadline workers tell their clients and close their servers, each within seconds; one
# that is still there after this time is killed.
GRACE_S = 4.0
# A start that fails three times over is a failed start.
START_ATTEMPTS = 3
GENERATION = 1


class Phase(Enum):
    """Where the master is in its life."""

    STARTING = auto()
    RUNNING = auto()
    DRAINING = auto()
    STOPPING = auto()


_IS_ENDING = frozenset((Phase.DRAINING, Phase.STOPPING))


class Supervisor:
    """Keep as many workers alive as the configuration wants, until told to stop."""

    def __init__(
        self,
        live: LiveConfig,
        segment: Segment,
        listeners: Listeners,
        life: Life,
        on_ready: Callable[[], None],
    ) -> None:
        """`life` is what a worker does, `on_ready` is called once when all of them serve."""
        self.selector = selectors.DefaultSelector()
        self.disinherit: list[Callable[[], None]] = []
        self._live = live
        self._segment = segment
        self._listeners = listeners
        self._addresses = listeners.addresses()
        self._on_ready = on_ready
        self._signals = SignalQueue()
        self._phase = Phase.STARTING
        self._started = time.monotonic()
        self._deadline: float | None = None
        self._failure: str | None = None
        self._workers = Workers(
            live.config.general.workers,
            self.selector,
            life,
            segment.reclaim,
            self._disinherit,
            self._hear,
        )
        self._rollout = Rollout(live, self._workers)

    def run(self) -> ExitCode:
        """Supervise until no worker is left. Raises: StartupError if they never got ready."""
        self._signals.install()
        self.selector.register(self._signals, selectors.EVENT_READ, _nothing)
        try:
            self._workers.spawn_due()
            while not self._workers.are_gone:
                for key, _ in self.selector.select(self._wait_s()):
                    key.data()
                for verb in self._signals.take():
                    _HANDLERS[verb](self)
                self._workers.reap()
                self._manage()
        finally:
            self.selector.unregister(self._signals)
            self._signals.restore()
        if self._failure is not None:
            raise StartupError(self._failure)
        return ExitCode.DONE if self._phase in _IS_ENDING else ExitCode.FAILED

    def command(self, name: str, reply: Reply) -> None:
        """Obey a command that came over the control socket."""
        handler = _COMMANDS.get(name)
        if handler is None:
            reply({"ok": False, "error": f'unknown command "{name}"'})
        else:
            handler(self, reply)

    def close(self) -> None:
        self.selector.close()

    # ---- signals ---------------------------------------------------------------------------

    def handle_reload(self, reply: Reply | None = None) -> None:
        if self._phase not in _IS_ENDING:
            self._rollout.begin(reply)
        elif reply is not None:
            reply({"ok": False, "error": "greenpool is stopping"})

    def handle_drain(self) -> None:
        """Let transactions end; told a second time, stop now."""
        if self._phase in _IS_ENDING:
            self.handle_quit()
            return
        timeout_s = self._live.config.general.shutdown_timeout_ms / 1000
        log.info("stopping: transactions have %g s to end", timeout_s)
        self._end(Phase.DRAINING, timeout_s)

    def handle_quit(self) -> None:
        if self._phase is not Phase.STOPPING:
            log.info("stopping at once")
            self._end(Phase.STOPPING, 0.0)

    def handle_reap(self) -> None:
        """Do nothing: the loop reaps in every round."""

    def handle_upgrade(self) -> None:
        log.warning("upgrade is not built yet: nothing changes")

    # ---- commands --------------------------------------------------------------------------

    def _status(self, reply: Reply) -> None:
        last = self._live.last_reload
        fields: dict[str, Any] = {
            "version": greenpool.__version__,
            "pid": os.getpid(),
            "generation": GENERATION,
            "phase": self._phase.name.lower(),
            "uptime_s": round(time.monotonic() - self._started, 3),
            "listening": self._addresses,
            "last_reload": last.fields() if last else None,
            **status.collect(self._segment, self._workers.slots),
        }
        reply({"ok": True, "status": fields})

    def _stop(self, reply: Reply) -> None:
        # Not a second TERM: two people who ask for a gentle stop do not add up to a hard one.
        if self._phase not in _IS_ENDING:
            self.handle_drain()
        self._say_when(reply)

    def _stop_now(self, reply: Reply) -> None:
        self.handle_quit()
        self._say_when(reply)

    def _say_when(self, reply: Reply) -> None:
        left_s = max(0.0, (self._deadline or 0.0) - time.monotonic())
        reply({"ok": True, "pid": os.getpid(), "deadline_s": left_s})

    # ---- workers ---------------------------------------------------------------------------

    def _hear(self, slot: WorkerSlot, message: ControlMessage) -> None:
        match message:
            case Reloaded():
                self._rollout.acknowledge(slot)
            case Command(name="reload"):
                self.handle_reload()
            case Command(name="shutdown"):
                self.handle_drain()
            case Command(name=name):
                log.warning('worker %d passes on an unknown command "%s"', slot.index, name)

    def _manage(self) -> None:
        self._rollout.manage()
        if self._phase is Phase.STARTING:
            self._manage_start()
        if self._phase not in _IS_ENDING:
            self._workers.spawn_due()
        elif self._deadline is not None and time.monotonic() >= self._deadline:
            self._deadline = None
            for slot in self._workers.alive():
                log.warning("worker %d (pid %d) has not ended: killing it", slot.index, slot.pid)
                self._workers.kill(slot)

    def _manage_start(self) -> None:
        if self._workers.are_ready:
            self._phase = Phase.RUNNING
            self._on_ready()
        elif any(_has_failed(slot) for slot in self._workers.slots):
            self._failure = "the workers cannot start: their own log lines say why"
            self._end(Phase.STOPPING, 0.0)

    def _end(self, phase: Phase, timeout_s: float) -> None:
        self._phase = phase
        self._deadline = time.monotonic() + timeout_s + GRACE_S
        self._listeners.close()
        self._workers.drain(Drain(timeout_s))

    def _wait_s(self) -> float | None:
        """Return how long the loop may sleep; None: until something happens."""
        due = [self._deadline, self._rollout.next_due(), self._workers.next_due()]
        times = [each for each in due if each is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _disinherit(self) -> None:
        """Close what is the master's alone. Runs after fork, in the child."""
        self.selector.close()
        self._signals.close_in_child()
        for close in self.disinherit:
            close()


_HANDLERS: Mapping[Verb, Callable[[Supervisor], None]] = {
    Verb.RELOAD: Supervisor.handle_reload,
    Verb.DRAIN: Supervisor.handle_drain,
    Verb.QUIT: Supervisor.handle_quit,
    Verb.REAP: Supervisor.handle_reap,
    Verb.UPGRADE: Supervisor.handle_upgrade,
}

_COMMANDS: Mapping[str, Callable[[Supervisor, Reply], None]] = {
    "status": Supervisor._status,
    "reload": Supervisor.handle_reload,
    "stop": Supervisor._stop,
    "stop now": Supervisor._stop_now,
}


def _has_failed(slot: WorkerSlot) -> bool:
    return slot.state is WorkerState.RETIRED or slot.early_deaths >= START_ATTEMPTS


def _nothing() -> None:
    """Wake the loop, which empties the signal queue in every round."""
