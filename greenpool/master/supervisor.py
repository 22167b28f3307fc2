"""The master's loop: wait, handle signals, reap, manage. Everything it does begins here.

    STARTING ──all workers are ready──► RUNNING ──TERM, INT, stop──► DRAINING
        │                                ▲  │  │                        │ a second one, time is up
        ├── of a later generation:       │  │  └─upgraded─► SUCCEEDED   │
        └──► PREPARED ──is to take over──┘  │          (hands over)     │
                                            └──QUIT, stop now───────────┴──► STOPPING

The loop sleeps in one selector over the signal queue, the workers' sockets, the control socket and
the masters before and after this one; nothing in it blocks for longer than a file read at reload.
It ends when no worker is left and none will come, and nothing of the generation before.
"""

from __future__ import annotations

import logging
import os
import selectors
import time
from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import partial
from typing import Any

import greenpool
from greenpool.config import PoolKey
from greenpool.errors import ExitCode, StartupError
from greenpool.master import status
from greenpool.master.control import UPGRADE_S, Reply, Request
from greenpool.master.estate import Estate
from greenpool.master.found_pools import FoundPools, Rights
from greenpool.master.live import ReloadResult
from greenpool.master.observer import Observer, last_reload
from greenpool.master.predecessor import Predecessor
from greenpool.master.questions import Questions
from greenpool.master.rollout import Rollout
from greenpool.master.signals import SignalQueue, Verb
from greenpool.master.slot import WorkerSlot, WorkerState
from greenpool.master.upgrade import Upgrade, UpgradeResult
from greenpool.master.workers import Life, Workers
from greenpool.observe import events
from greenpool.observe.news import News
from greenpool.worker.control import (
    Asked,
    Command,
    ControlMessage,
    Drain,
    HandOver,
    Made,
    NotMade,
    Put,
    Released,
    Reloaded,
    Told,
    Wanted,
)

log = logging.getLogger(__name__)

# At their deadline workers tell their clients and close their servers, each within seconds; one
# that is still there after this time is killed.
GRACE_S = 4.0
# A start that fails three times over is a failed start.
START_ATTEMPTS = 3


class Phase(Enum):
    """Where the master is in its life."""

    STARTING = auto()
    PREPARED = auto()
    RUNNING = auto()
    SUCCEEDED = auto()
    DRAINING = auto()
    STOPPING = auto()


_IS_ENDING = frozenset((Phase.DRAINING, Phase.STOPPING))
_IS_LEAVING = _IS_ENDING | {Phase.SUCCEEDED}

_STOPPING: Mapping[str, object] = {"ok": False, "error": "greenpool is stopping"}
_UPGRADING: Mapping[str, object] = {"ok": False, "error": "an upgrade is under way"}
_STARTING: Mapping[str, object] = {"ok": False, "error": "greenpool is starting"}


class Supervisor:
    """Keep as many workers alive as the configuration wants, until told to stop."""

    def __init__(
        self,
        estate: Estate,
        life: Life,
        on_ready: Callable[[], None],
        predecessor: Predecessor | None = None,
    ) -> None:
        """`life` is what a worker does, `on_ready` is called once when all of them serve.

        `predecessor` is the master to take over from.
        """
        self.selector = selectors.DefaultSelector()
        self._estate = estate
        self._live = estate.live
        self._addresses = estate.listeners.addresses()
        self._on_ready = on_ready
        self._predecessor = predecessor
        self._presence = estate.presence
        self._signals = SignalQueue()
        self._phase = Phase.STARTING
        self._deadline: float | None = None
        self._failure: str | None = None
        self._workers = Workers(
            estate.places,
            self.selector,
            life,
            partial(estate.segment.accept, wanted=True),
            estate.segment.reclaim,
            self._disinherit_worker,
            self._hear,
        )
        self._questions = Questions(self._workers)
        self._notifier = estate.notifier
        self._rollout = Rollout(
            self._live, self._workers, self._notifier.reloading, self._notify_ready
        )
        self._observer = Observer(
            estate.web, estate.segment, estate.tallies, self.selector, self._disinherit_observer
        )
        self._made_s = time.time()
        self._age_s = time.monotonic() - estate.started_s
        self._upgrade = Upgrade(estate, self.selector, self)
        self._found = FoundPools(estate, self._workers, self._rights, self._upgrade.want)
        if predecessor is not None:
            want = partial(self._want_for, predecessor)
            predecessor.watch(self.selector, self._take_over, want)
        if self._presence is not None:
            self._presence.listen(self.selector, self.command)

    def run(self) -> ExitCode:
        """Supervise until no worker is left. Raises: StartupError if they never got ready."""
        self._signals.install()
        self.selector.register(self._signals, selectors.EVENT_READ, _nothing)
        try:
            self._workers.spawn_due()
            if self._predecessor is None:
                self._observer.begin()
            while not self._is_over():
                for key, _ in self.selector.select(self._wait_s()):
                    key.data()
                for verb in self._signals.take():
                    _HANDLERS[verb](self)
                self._workers.reap()
                self._manage()
        finally:
            self._observer.end()
            self.selector.unregister(self._signals)
            self._signals.restore()
        if self._failure is not None:
            raise StartupError(self._failure)
        self._upgrade.say_gone()
        return ExitCode.DONE if self._phase in _IS_LEAVING else ExitCode.FAILED

    def command(self, request: Request, reply: Reply) -> None:
        """Obey a command that came over the control socket."""
        handler = _COMMANDS.get(request["command"])
        if handler is None:
            reply({"ok": False, "error": f'unknown command "{request["command"]}"'})
        else:
            handler(self, request, reply)

    def close(self) -> None:
        """Be found no more, and let go of the selector."""
        if self._presence is not None:
            self._presence.close()
        self.selector.close()

    def _is_over(self) -> bool:
        """Whether nothing is left that needs this process."""
        has_given_up = self._phase in _IS_ENDING and self._deadline is None
        is_last = self._predecessor is None or self._predecessor.is_gone or has_given_up
        return self._workers.are_gone and not self._upgrade.is_under_way and is_last

    # ---- signals ---------------------------------------------------------------------------

    def handle_reload(self, reply: Reply | None = None) -> None:
        self._change(self._live.reload, reply)

    def _change(self, change: Callable[[], ReloadResult], reply: Reply | None = None) -> None:
        if self._phase not in _IS_LEAVING and not self._upgrade.is_under_way:
            self._found.keep_all()
            self._rollout.begin(change, reply)
            self._found.follow()
            return
        refusal = _UPGRADING if self._upgrade.is_under_way else _STOPPING
        events.CONFIG_REFUSED.tell(log, why=refusal["error"])
        if reply is not None:
            reply(refusal)

    def handle_drain(self) -> None:
        """Let transactions end; told a second time, stop now."""
        if self._phase in _IS_ENDING:
            self.handle_quit()
            return
        timeout_s = self._live.config.general.shutdown_timeout_ms / 1000
        events.STOPPING.tell(log, timeout_s=timeout_s)
        self._end(Phase.DRAINING, timeout_s)

    def handle_quit(self) -> None:
        if self._phase is not Phase.STOPPING:
            events.STOPPING_AT_ONCE.tell(log)
            self._end(Phase.STOPPING, 0.0)

    def handle_reap(self) -> None:
        """Do nothing: the loop reaps in every round."""

    def handle_upgrade(self, timeout_s: float = UPGRADE_S, reply: Reply | None = None) -> None:
        if self._phase is Phase.RUNNING:
            self._upgrade.begin(timeout_s, reply)
            return
        refusal = _STOPPING if self._phase in _IS_LEAVING else _STARTING
        events.UPGRADE_REFUSED.tell(log, why=refusal["error"])
        if reply is not None:
            reply(refusal)

    # ---- commands --------------------------------------------------------------------------

    def _status(self, _request: Request, reply: Reply) -> None:
        reload, upgrade = self._live.last_reload, self._upgrade.last
        fields: dict[str, Any] = {
            "version": greenpool.__version__,
            "pid": os.getpid(),
            "generation": self._estate.generation,
            "phase": self._phase.name.lower(),
            "uptime_s": round(time.monotonic() - self._estate.started_s, 3),
            "listening": self._addresses,
            "last_reload": reload.fields() if reload else None,
            "last_upgrade": upgrade.fields() if upgrade else None,
            **status.collect(self._estate.segment, self._workers.slots),
        }
        reply({"ok": True, "status": fields})

    def _reload(self, _request: Request, reply: Reply) -> None:
        self.handle_reload(reply)

    def _start_upgrade(self, request: Request, reply: Reply) -> None:
        self.handle_upgrade(float(request.get("timeout_s", UPGRADE_S)), reply)

    def _stop(self, _request: Request, reply: Reply) -> None:
        # Not a second TERM: two people who ask for a gentle stop do not add up to a hard one.
        if self._phase not in _IS_ENDING:
            self.handle_drain()
        self._say_when(reply)

    def _stop_now(self, _request: Request, reply: Reply) -> None:
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
            case Wanted():
                self._found.want(message, partial(self._workers.send, slot))
            case Released():
                self._found.acknowledge(slot, message)
            case Asked():
                self._questions.pass_on(slot, message)
            case Told():
                self._questions.answer(slot, message)
            case Put():
                self._change(partial(self._live.put, message.name, message.text))
            case Command(name="reload"):
                self.handle_reload()
            case Command(name="upgrade"):
                self.handle_upgrade()
            case Command(name="shutdown"):
                self.handle_drain()
            case Command(name=name):
                events.MESSAGE_UNKNOWN.tell(
                    log, process=f"worker {slot.index}", what=f'the command "{name}"'
                )

    def _manage(self) -> None:
        self._notifier.beat()
        self._rollout.manage()
        self._observer.keep(self._news())
        self._upgrade.manage()
        if self._predecessor is not None and self._predecessor.has_just_gone():
            self._settle_inheritance(self._predecessor)
        self._found.manage()
        self._questions.manage()
        if self._phase is Phase.STARTING:
            self._manage_start()
        if self._phase not in _IS_LEAVING:
            self._workers.spawn_due()
        elif self._deadline is not None and time.monotonic() >= self._deadline:
            self._deadline = None
            for slot in self._workers.alive():
                self._workers.kill(slot, "has not ended")

    def _manage_start(self) -> None:
        if self._workers.are_ready:
            if self._predecessor is not None:
                self._phase = Phase.PREPARED
                self._predecessor.ready(self._estate.places)
            else:
                self._serve()
        elif any(_has_failed(slot) for slot in self._workers.slots):
            self._failure = "the workers cannot start: their own log lines say why"
            self._end(Phase.STOPPING, 0.0)

    def _serve(self) -> None:
        self._phase = Phase.RUNNING
        self._workers.listen()
        self._on_ready()
        self._notify_ready()

    def _notify_ready(self) -> None:
        workers = len(self._workers.alive())
        self._notifier.ready(f"generation {self._estate.generation}, {workers} workers")

    def _end(self, phase: Phase, timeout_s: float) -> None:
        self._phase = phase
        self._deadline = time.monotonic() + timeout_s + GRACE_S
        self._notifier.stopping()
        self._upgrade.stop("greenpool is stopping")
        if self._predecessor is not None:
            self._predecessor.stop(timeout_s)
        self._estate.listeners.close()
        if not self._observer.is_wanted:  # it was handed over
            self._estate.web.close()
        self._workers.drain(Drain(timeout_s))

    # ---- the master before -----------------------------------------------------------------

    def _take_over(self) -> None:
        """Become the master that serves: its names first, then everything else."""
        if self._predecessor is None or self._phase is not Phase.PREPARED:
            return
        try:
            if self._presence is not None:
                self._presence.appear()
        except OSError as exc:
            raise StartupError(f"cannot take the pid file over: {exc.strerror}") from exc
        self._estate.listeners.own()
        self._live.take_over()
        self._found.adopt()
        self._serve()
        self._observer.begin()
        self._upgrade.last = UpgradeResult.success(os.getpid(), self._predecessor.program)
        events.UPGRADED.tell(
            log,
            from_version=self._predecessor.program,
            to_version=greenpool.__version__,
            generation=self._estate.generation,
        )
        names = (*self._estate.listeners.named(), *self._estate.web.named())
        self._predecessor.taken([name for name, _ in names])

    def _want_for(self, predecessor: Predecessor, key: PoolKey) -> None:
        self._found.want(Wanted(key), predecessor.tell)

    def _rights(self) -> Rights:
        """Return what may be done to pools of found users, beside other generations."""
        if self._upgrade.is_succeeded:
            return Rights.NONE
        if self._upgrade.is_sharing:
            return Rights.LATER
        is_alone = self._predecessor is None or self._predecessor.is_gone
        return Rights.ALL if is_alone else Rights.MAKE

    def _settle_inheritance(self, predecessor: Predecessor) -> None:
        """Put right what only the generation before needed. Nothing is left of it."""
        if predecessor.died:
            events.GENERATION_KILLED.tell(log)
            for place in predecessor.places:
                self._estate.segment.reclaim(place)
        self._live.settle_inheritance(predecessor.pool_marks, self._estate.boot_secret)
        events.GENERATION_ENDED.tell(log)

    # ---- the master after: what `upgrade` asks ---------------------------------------------

    def free_places(self) -> tuple[int, ...]:
        """Return the places that the workers of another generation may have."""
        taken = {*self.reserved_places()}
        return tuple(place for place in range(self._estate.segment.workers) if place not in taken)

    def reserved_places(self) -> tuple[int, ...]:
        """Return the places of this generation, and of those before that are not gone."""
        own = [slot.index for slot in self._workers.slots]
        if self._predecessor is None or self._predecessor.is_gone:
            return tuple(own)
        return (*own, *self._predecessor.places)

    def pause_presence(self) -> None:
        """Have commands wait for who takes over, who looks for pools of found users then."""
        self._found.make_wanted()
        if self._presence is not None:
            self._presence.pause()

    def take_back(self) -> None:
        """Be found again, and listen as configured here: the successor may have come that far."""
        self._estate.listeners.own()
        if self._presence is None:
            return
        try:
            self._presence.take_back(self.selector, self.command)
        except (StartupError, OSError) as exc:
            events.COMMANDS_LOST.tell(log, error=exc)

    def hand_over(self, places: tuple[int, ...], pid: int) -> None:
        """Leave everything to the master with that pid, whose workers live there."""
        self._phase = Phase.SUCCEEDED
        self._notifier.hand_over(pid)
        if self._presence is not None:
            self._presence.close()
        if self._predecessor is not None:
            self._predecessor.succeeded()
        self._observer.end()
        for slot in self._workers.slots:  # at once: a worker may be stuck, or slow to hear it
            self._estate.segment.accept(slot.index, wanted=False)
        self._workers.drain(HandOver(places))

    def come_back(self, places: tuple[int, ...]) -> None:
        """Serve again, unless told to stop, with workers in the places of the dead successor's."""
        if self._phase is not Phase.SUCCEEDED:
            return
        generation, version = self._estate.generation, greenpool.__version__
        events.GENERATION_RETURNED.tell(log, generation=generation, from_version=version)
        self.take_back()
        self._found.adopt()
        self._notifier.come_back(os.getpid())
        self._phase = Phase.RUNNING
        self._workers.add(places)
        self._workers.listen()
        self._observer.begin()

    def answered(self, message: Made | NotMade) -> None:
        """Pass on what the successor says of a pool that it was asked for."""
        self._found.answered(message)

    def end_with(self, timeout_s: float) -> None:
        """End, because the successor is told to."""
        self._end(Phase.DRAINING if timeout_s else Phase.STOPPING, timeout_s)

    def _wait_s(self) -> float | None:
        """Return how long the loop may sleep; None: until something happens."""
        due = [
            self._deadline,
            self._notifier.next_due(),
            self._rollout.next_due(),
            self._found.next_due(),
            self._upgrade.next_due(),
            self._observer.next_due(),
            self._workers.next_due() if self._phase not in _IS_LEAVING else None,
        ]
        times = [each for each in due if each is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _news(self) -> News:
        """Return how things stand, for the observer."""
        return News(
            config=self._live.config,
            master_pid=os.getpid(),
            places=tuple(slot.index for slot in self._workers.slots),
            started_s=self._made_s - self._age_s,
            last_reload=last_reload(self._live.last_reload, self._made_s),
            is_draining=self._phase in _IS_ENDING,
        )

    def _disinherit_worker(self) -> None:
        self._observer.close_in_child()
        self._disinherit()

    def _disinherit_observer(self) -> None:
        """Let go of the clients' port, too: nobody shall wait there for one who never accepts."""
        self._workers.close_in_child()
        self._estate.listeners.close_in_child()
        self._disinherit()

    def _disinherit(self) -> None:
        """Close what is the master's alone. Runs after fork, in the child."""
        self.selector.close()
        self._signals.close_in_child()
        self._upgrade.close_in_child()
        if self._predecessor is not None:
            self._predecessor.close_in_child()
        if self._presence is not None:
            self._presence.close_in_child()


_HANDLERS: Mapping[Verb, Callable[[Supervisor], None]] = {
    Verb.RELOAD: Supervisor.handle_reload,
    Verb.DRAIN: Supervisor.handle_drain,
    Verb.QUIT: Supervisor.handle_quit,
    Verb.REAP: Supervisor.handle_reap,
    Verb.UPGRADE: Supervisor.handle_upgrade,
}

_COMMANDS: Mapping[str, Callable[[Supervisor, Request, Reply], None]] = {
    "status": Supervisor._status,
    "reload": Supervisor._reload,
    "upgrade": Supervisor._start_upgrade,
    "stop": Supervisor._stop,
    "stop now": Supervisor._stop_now,
}


def _has_failed(slot: WorkerSlot) -> bool:
    return slot.state is WorkerState.RETIRED or slot.early_deaths >= START_ATTEMPTS


def _nothing() -> None:
    """Wake the loop, which empties the signal queue in every round."""
