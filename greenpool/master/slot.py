"""The slot of a worker: who lives there now, who lived there, and what is to come.

    EMPTY ──spawn──► STARTING ──Ready──► READY
      ▲                 │                  │
      └──── exit ───────┴──────────────────┤ drain
                                           ▼
                        RETIRED ◄──exit── DRAINING

Law: `set_state` is the one mutator. A draining worker is never followed by another, and RETIRED is
the end. A worker that dies young several times in a row is followed ever later: a fault that
every start repeats must not eat the machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from greenpool.master.link import WorkerLink

# As systemd and gunicorn: an exit within a second of the start says that starting is the problem.
EARLY_S = 1.0
_BACKOFF_FIRST_S = 0.1
_BACKOFF_MAX_S = 5.0


class WorkerState(Enum):
    """Where a slot is in the life of its workers."""

    EMPTY = auto()  # no process; one is due at `respawn_at`
    STARTING = auto()  # just spawned
    READY = auto()  # serves
    DRAINING = auto()  # told to end; nobody will follow
    RETIRED = auto()  # no process, and none will come


ALIVE = frozenset((WorkerState.STARTING, WorkerState.READY, WorkerState.DRAINING))

_NEXT = {
    WorkerState.EMPTY: {WorkerState.STARTING, WorkerState.RETIRED},
    WorkerState.STARTING: {*ALIVE, WorkerState.EMPTY, WorkerState.RETIRED} - {WorkerState.STARTING},
    WorkerState.READY: {WorkerState.DRAINING, WorkerState.EMPTY, WorkerState.RETIRED},
    WorkerState.DRAINING: {WorkerState.RETIRED},
    WorkerState.RETIRED: set[WorkerState](),
}


@dataclass(slots=True)
class WorkerSlot:
    """One worker's place. Times are time.monotonic() seconds."""

    index: int
    state: WorkerState = WorkerState.EMPTY
    pid: int = 0
    births: int = 0
    spawned_at: float = 0.0
    respawn_at: float = 0.0
    early_deaths: int = 0  # in a row
    link: WorkerLink | None = field(default=None, repr=False)

    @property
    def is_alive(self) -> bool:
        return self.state in ALIVE

    def set_state(self, state: WorkerState) -> None:
        if state not in _NEXT[self.state]:
            raise AssertionError(f"worker {self.index}: {self.state.name} -> {state.name}")
        self.state = state

    def enter(self, pid: int, link: WorkerLink, now: float) -> None:
        """Note that a new process lives here."""
        self.set_state(WorkerState.STARTING)
        self.pid = pid
        self.link = link
        self.births += 1
        self.spawned_at = now

    def leave(self, now: float, will_return: bool) -> float:
        """Note that the process is gone; return after how many seconds another is due.

        The first early death is followed at once, further ones ever later.
        """
        is_early = now - self.spawned_at < EARLY_S
        self.early_deaths = self.early_deaths + 1 if is_early else 0
        self.pid = 0
        self.link = None
        self.set_state(WorkerState.EMPTY if will_return else WorkerState.RETIRED)
        delay = backoff_s(self.early_deaths)
        self.respawn_at = now + delay
        return delay


def backoff_s(early_deaths: int) -> float:
    """Return how long to wait before the next spawn after so many early deaths in a row."""
    if early_deaths < 2:
        return 0.0
    # The exponent is bounded too: a float overflows long before patience does.
    return min(_BACKOFF_FIRST_S * 2.0 ** min(early_deaths - 2, 16), _BACKOFF_MAX_S)
