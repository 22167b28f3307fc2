"""An upgrade, as the master sees it that is to be replaced: a transaction in which each step has an
undo.

    NONE ──begin──► CHECKING ──good──► STARTING ──"ready"──► COMMITTED ──"taken"──► SUCCEEDED
     ▲                 │ refused           │ "failed", exit, time is up   │             │
     ├─────────────────┘                   ▼                              │             │ the new
     │                                 ABORTING ◄────────exit, time is up─┘             │ generation
     ├──── the new generation is gone ─────┘                                            │ is gone
     └──────────────────────────────────────────────────────────────────────────────────┘

 1. CHECKING: the installed program looks at the configuration. Undo: nothing has been changed.
 2. STARTING: it runs as a second master, with everything inherited; its workers are up, but accept
    nobody. Undo (ABORTING): it is killed, its workers die with it; what it has defined in the
    segment is taken back.
 3. COMMITTED: it takes over: names first, then its workers accept. Undo: as before.
 4. SUCCEEDED: this generation's workers accept nobody and hand over; greenpool ends here when the
    last of them has. Undo, should the new generation die before that: this one comes back, with new
    workers in the places of the dead.

Law: `_set` is the one mutator of the state. Partners: `predecessor`, the other side; `supervisor`,
which calls `manage` in every round.
"""

from __future__ import annotations

import logging
import os
import selectors
import subprocess
import time
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Protocol

import greenpool
from greenpool.config import PoolKey
from greenpool.errors import ExitCode, GreenpoolError
from greenpool.master.control import Reply
from greenpool.master.estate import Estate
from greenpool.master.handoff import Handoff
from greenpool.master.inheritance import VARIABLE, Inheritance
from greenpool.master.lifeline import Lifeline
from greenpool.observe import events
from greenpool.worker.control import Made, NotMade

log = logging.getLogger(__name__)

# Two renames and a message to each worker: who needs longer is stuck.
_TAKE_S = 5.0
_OUTPUT_BYTES_MAX = 1 << 20


class UpgradeState(Enum):
    """How far an upgrade has come."""

    NONE = auto()
    CHECKING = auto()
    STARTING = auto()
    COMMITTED = auto()
    ABORTING = auto()
    SUCCEEDED = auto()


_S = UpgradeState
_NEXT = {
    _S.NONE: {_S.CHECKING},
    _S.CHECKING: {_S.STARTING, _S.NONE},
    _S.STARTING: {_S.COMMITTED, _S.ABORTING},
    _S.COMMITTED: {_S.SUCCEEDED, _S.ABORTING},
    _S.ABORTING: {_S.NONE},
    _S.SUCCEEDED: {_S.NONE},
}


@dataclass(frozen=True, slots=True)
class UpgradeResult:
    """What came of an upgrade; `problems` are those of the configuration."""

    at: str  # UTC, ISO 8601
    ok: bool
    why: str = ""
    problems: tuple[str, ...] = ()
    pid: int = 0
    """Of the master that took over."""
    came_from: str = ""
    """The version that it took over from."""

    @classmethod
    def success(cls, pid: int, came_from: str) -> UpgradeResult:
        """Return that the master of this pid has taken over from that version, now."""
        return cls(_now(), ok=True, pid=pid, came_from=came_from)

    def fields(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


class Elder(Protocol):
    """What an upgrade asks of the supervisor whose master it replaces."""

    def free_places(self) -> tuple[int, ...]: ...
    def reserved_places(self) -> tuple[int, ...]: ...
    def pause_presence(self) -> None: ...
    def take_back(self) -> None: ...
    def hand_over(self, places: tuple[int, ...], pid: int) -> None: ...
    def come_back(self, places: tuple[int, ...]) -> None: ...
    def end_with(self, timeout_s: float) -> None: ...
    def answered(self, message: Made | NotMade) -> None: ...


class Upgrade:
    """Own the upgrade of one master, its child and its conversation, in the master's selector."""

    def __init__(self, estate: Estate, selector: selectors.BaseSelector, elder: Elder) -> None:
        self.state = UpgradeState.NONE
        self.last: UpgradeResult | None = None
        self._estate = estate
        self._selector = selector
        self._elder = elder
        self._replies: list[Reply] = []
        self._deadline: float | None = None
        self._why = ""
        self._child: subprocess.Popen[bytes] | None = None
        self._output_fd = -1
        self._handoff: Handoff | None = None
        self._lifeline: Lifeline | None = None
        self._offered: tuple[int, ...] = ()
        self._places: tuple[int, ...] = ()
        self._may_return = True
        self._was_committed = False

    @property
    def is_under_way(self) -> bool:
        """Whether there is something that must come to an end before this process may."""
        return self.state not in (UpgradeState.NONE, UpgradeState.SUCCEEDED)

    @property
    def is_sharing(self) -> bool:
        """Whether the new master may be defining pools in the segment at this moment."""
        return self.is_under_way and self.state is not UpgradeState.CHECKING

    @property
    def is_succeeded(self) -> bool:
        """Whether the segment is the new master's now."""
        return self.state is UpgradeState.SUCCEEDED

    def next_due(self) -> float | None:
        """Return when (time.monotonic) something is to be done; None: not by time."""
        return self._deadline

    # ---- the steps -------------------------------------------------------------------------

    def begin(self, timeout_s: float, reply: Reply | None) -> None:
        """Start an upgrade, or say why not; `reply` is called with what came of it."""
        offered = self._elder.free_places()
        refusal = ""
        if self.state is not UpgradeState.NONE:
            refusal = "an upgrade is under way already"
        elif not offered:
            refusal = "workers of earlier generations still have clients, and all places"
        if refusal:
            events.UPGRADE_REFUSED.tell(log, why=refusal)
            if reply is not None:
                _answer(reply, UpgradeResult(_now(), ok=False, why=refusal))
            return
        step = "checking the configuration with the installed version"
        events.UPGRADE_STEP.tell(log, step=step)
        self._offered = offered
        self._replies = [reply] if reply is not None else []
        self._deadline = time.monotonic() + timeout_s
        self._set(UpgradeState.CHECKING)
        try:
            self._output_fd = os.memfd_create("greenpool-check", os.MFD_CLOEXEC)
            self._child = self._run(
                ("check", str(self._estate.config_file)),
                stdout=subprocess.DEVNULL,
                stderr=self._output_fd,
            )
        except OSError as exc:
            self.stop(f"the installed version cannot be run: {exc.strerror}")

    def manage(self) -> None:
        """Do what is due: look after the child, and after the clock."""
        if self.state in (UpgradeState.NONE, UpgradeState.SUCCEEDED):
            self._look_after_successor()
            return
        code = self._child.poll() if self._child is not None else None
        if self.state is UpgradeState.CHECKING and code is not None:
            self._checked(code)
        elif self.state in (UpgradeState.STARTING, UpgradeState.COMMITTED) and code is not None:
            self._abort(f"the new master has ended, with status {code}")
        elif self._deadline is not None and time.monotonic() >= self._deadline:
            self.stop("the time for it is over")
        if self.state is UpgradeState.ABORTING:
            self._undo_when_gone()

    def stop(self, why: str) -> None:
        """Give up an upgrade that is under way."""
        if self.state is UpgradeState.CHECKING:
            self._kill()
            self._fail(why)
        elif self.state in (UpgradeState.STARTING, UpgradeState.COMMITTED):
            self._abort(why)

    def say_gone(self) -> None:
        """Tell the new master that nothing is left of this generation."""
        if self._handoff is not None:
            self._handoff.say("gone")

    def close_in_child(self) -> None:
        """Close what is the master's alone. Runs after fork, in a worker."""
        if self._handoff is not None:
            self._handoff.close()
        if self._lifeline is not None:
            self._lifeline.close()

    def _checked(self, code: int) -> None:
        """Go on from what the check said."""
        self._child = None
        said = _text_of(self._output_fd)
        os.close(self._output_fd)
        self._output_fd = -1
        if code == ExitCode.DONE:
            self._set(UpgradeState.STARTING)
            self._start()
            return
        problems = tuple(said.splitlines())
        if code != ExitCode.USAGE:
            self._fail(f"the installed version cannot be run: {' '.join(problems[-1:])}")
        else:
            self._fail("the installed version refuses the configuration", problems)

    def _start(self) -> None:
        """Run the new master, with all that it inherits."""
        events.UPGRADE_STEP.tell(log, step="starting the new master")
        with ExitStack() as stack:
            try:
                self._handoff, theirs = Handoff.pair()
                stack.callback(theirs.close)
                self._lifeline = Lifeline.make()
                stack.callback(self._lifeline.watch_only)
                inheritance = self._inheritance(theirs.fileno(), self._lifeline)
                memory_fd = inheritance.leave()
                stack.callback(os.close, memory_fd)
                self._child = self._run(
                    self._estate.program.arguments,
                    pass_fds=(memory_fd, *inheritance.fds()),
                    env={**os.environ, VARIABLE: str(memory_fd)},
                )
            except OSError as exc:
                self._abort(f"the new master cannot be started: {exc.strerror}")
                return
        self._selector.register(self._handoff, selectors.EVENT_READ, self._hear)
        self._selector.register(self._lifeline, selectors.EVENT_READ, _nothing)

    def _inheritance(self, handoff_fd: int, lifeline: Lifeline) -> Inheritance:
        estate = self._estate
        return Inheritance(
            generation=estate.generation + 1,
            program=greenpool.__version__,
            started_s=estate.started_s,
            handoff_fd=handoff_fd,
            lifeline_fds=(lifeline.read_fd, lifeline.write_fd),
            elder_lifeline_fd=estate.lifeline.read_fd,
            segment_fds=tuple(estate.segment.fds()),
            pid_file=str(estate.presence.path) if estate.presence is not None else None,
            listeners=tuple(estate.listeners.named()),
            web=tuple(estate.web.named()),
            are_activated=estate.listeners.are_activated,
            free_places=self._offered,
            elder_places=self._elder.reserved_places(),
            pool_marks=estate.live.marks(estate.boot_secret),
            boot_secret=estate.boot_secret.hex(),
        )

    def _commit(self, places: Collection[int]) -> None:
        """Have the new master take over; commands wait for it meanwhile."""
        if self.state is not UpgradeState.STARTING:
            return
        self._places = tuple(places)
        self._set(UpgradeState.COMMITTED)
        self._deadline = time.monotonic() + _TAKE_S
        self._elder.pause_presence()
        assert self._handoff is not None
        self._handoff.say("commit")

    def _succeed(self, listening: Collection[str]) -> None:
        """Note that the new generation serves: what is left here is to hand over."""
        if self.state is not UpgradeState.COMMITTED:
            return
        assert self._child is not None
        self._set(UpgradeState.SUCCEEDED)
        self._deadline = None
        self._may_return = True
        pid = self._child.pid
        events.UPGRADE_HANDED_OVER.tell(log, master_pid=pid)
        self._finish(UpgradeResult.success(pid, greenpool.__version__))
        self._estate.listeners.leave(listening)
        self._estate.web.leave(listening)
        self._elder.hand_over(self._places, pid)

    # ---- pools of found users, which are the new master's to make -----------------------------

    def want(self, key: PoolKey) -> bool:
        """Ask the new master for a pool; False: it does not hear that now."""
        return self._handoff is not None and self._handoff.say("want", key=key)

    # ---- what the new master says ------------------------------------------------------------

    def _hear(self) -> None:
        assert self._handoff is not None
        words = self._handoff.hear()
        if words is None:
            self._selector.unregister(self._handoff)
            if self.state in (UpgradeState.STARTING, UpgradeState.COMMITTED):
                self._abort("the new master has ended without a word")
            return
        for word in words:
            match word:
                case {"word": "ready", "places": places}:
                    self._commit(places)
                case {"word": "failed", "why": why}:
                    self._abort(str(why))
                case {"word": "taken", "listening": listening}:
                    self._succeed(listening)
                case {"word": "made", "key": [str(database), str(user)], "index": int(index)}:
                    self._elder.answered(Made((database, user), index))
                case {"word": "not made", "key": [str(database), str(user)], "why": str(why)}:
                    self._elder.answered(NotMade((database, user), why))
                case {"word": "stop", "timeout_s": timeout_s}:
                    self._elder.end_with(float(timeout_s))
                case {"word": "succeeded"}:
                    self._never_return()

    def _never_return(self) -> None:
        """Note that the successor has one itself: should it die, that one goes on."""
        self._may_return = False
        if self._lifeline is not None:
            self._selector.unregister(self._lifeline)
        self._estate.listeners.close()
        self._estate.web.close()

    def _look_after_successor(self) -> None:
        """Come back when the whole new generation is dead, and was not told to be."""
        if self._child is not None:
            self._child.poll()  # it is our child until we end: leave no zombie
        is_awaited = self.state is UpgradeState.SUCCEEDED and self._may_return
        if is_awaited and self._lifeline is not None and self._lifeline.is_cut:
            events.SUCCESSOR_DIED.tell(log)
            self._reclaim()
            self._set(UpgradeState.NONE)
            self._elder.come_back(self._places)

    # ---- the undo ----------------------------------------------------------------------------

    def _abort(self, why: str) -> None:
        """Kill the new master: its workers, whom nobody has been told of, die with it."""
        if self.state not in (UpgradeState.STARTING, UpgradeState.COMMITTED):
            return
        self._was_committed = self.state is UpgradeState.COMMITTED
        self._set(UpgradeState.ABORTING)
        self._why = why
        self._deadline = None
        self._kill()

    def _undo_when_gone(self) -> None:
        if self._lifeline is not None and not self._lifeline.is_cut:
            return
        self._reclaim()
        if self._was_committed:
            self._elder.take_back()
        self._fail(self._why)

    def _reclaim(self) -> None:
        """Take back what the dead generation has in the segment. None of its processes is left."""
        for row in self._estate.segment.worker_rows():
            if row.alive and row.index in self._offered:
                self._estate.segment.reclaim(row.index)
        try:
            self._estate.live.put_back()
        except GreenpoolError as exc:
            events.RETURN_INCOMPLETE.tell(log, error=exc)
        self._forget()

    def _forget(self) -> None:
        """Close all that belonged to the new generation."""
        if self._handoff is not None:
            if self._handoff in self._selector.get_map():
                self._selector.unregister(self._handoff)
            self._handoff.close()
        if self._lifeline is not None:
            if self._lifeline in self._selector.get_map():
                self._selector.unregister(self._lifeline)
            self._lifeline.close()
        self._handoff = self._lifeline = None

    def _kill(self) -> None:
        """End the child, if there is one, and take leave of it."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()  # not reaped yet, so the pid is still its own
            child.wait()
        if self._output_fd != -1:
            os.close(self._output_fd)
            self._output_fd = -1

    def _fail(self, why: str, problems: tuple[str, ...] = ()) -> None:
        for problem in problems:
            events.CONFIG_ERROR.tell(log, problem=problem)
        generation, version = self._estate.generation, greenpool.__version__
        events.UPGRADE_FAILED.tell(log, why=why, generation=generation, from_version=version)
        self._deadline = None
        self._set(UpgradeState.NONE)
        self._finish(UpgradeResult(_now(), ok=False, why=why, problems=problems))

    # ---- private -----------------------------------------------------------------------------

    def _set(self, state: UpgradeState) -> None:
        if state not in _NEXT[self.state]:
            raise AssertionError(f"upgrade: {self.state.name} -> {state.name}")
        self.state = state

    def _finish(self, result: UpgradeResult) -> None:
        self.last = result
        replies, self._replies = self._replies, []
        for reply in replies:
            _answer(reply, result)

    def _run(self, arguments: tuple[str, ...], **options: Any) -> subprocess.Popen[bytes]:
        """Run the installed program as a child. Raises: OSError."""
        program = self._estate.program
        return subprocess.Popen(
            [*program.command, *arguments],
            stdin=subprocess.DEVNULL,
            cwd=program.directory,
            **options,
        )


def _answer(reply: Reply, result: UpgradeResult) -> None:
    reply({"ok": True, "upgrade": result.fields()})


def _text_of(fd: int) -> str:
    return os.pread(fd, _OUTPUT_BYTES_MAX, 0).decode(errors="replace")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _nothing() -> None:
    """Wake the loop, which calls `manage` in every round."""
