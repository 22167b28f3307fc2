"""A reload on its way through the workers, until the last of them has taken it over.

Several may be on their way at once: a worker owes one Reloaded for each Reload that it was sent,
and whoever asked for any of them is answered when nobody owes anything. Partner: `live`, which
knows what is in force in the master.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from greenpool.master.control import Reply
from greenpool.master.live import LiveConfig, ReloadResult
from greenpool.master.slot import WorkerSlot
from greenpool.master.workers import Workers
from greenpool.observe import events
from greenpool.worker.control import Reload

log = logging.getLogger(__name__)

# A worker takes milliseconds; one that is stuck may not keep `greenpool reload` for ever.
DEADLINE_S = 10.0


class Rollout:
    """Push configurations to the workers and wait for them."""

    def __init__(
        self,
        live: LiveConfig,
        workers: Workers,
        begun: Callable[[], None],
        done: Callable[[], None],
    ) -> None:
        """`begun` and `done` are called when the first one starts, and when the last is through."""
        self._begun = begun
        self._done = done
        self._is_under_way = False
        self._live = live
        self._workers = workers
        self._owed: dict[int, int] = {}  # pid of a worker -> Reloaded messages to come
        self._asked: list[tuple[Reply, ReloadResult]] = []
        self._deadline = 0.0

    def begin(self, change: Callable[[], ReloadResult], reply: Reply | None) -> None:
        """Make the change; `reply` once all workers have it, or at once with the errors."""
        if not self._is_under_way:
            self._is_under_way = True
            self._begun()
        result = change()
        if reply is not None:
            self._asked.append((reply, result))
        if result.is_ok:
            self._deadline = time.monotonic() + DEADLINE_S
            message = Reload(self._live.config, self._live.pools)
            for slot in self._workers.alive():
                if self._workers.send(slot, message):
                    self._owed[slot.pid] = self._owed.get(slot.pid, 0) + 1
        self.manage()

    def acknowledge(self, slot: WorkerSlot) -> None:
        """Note that a worker has taken one configuration over."""
        if slot.pid in self._owed:
            self._owed[slot.pid] -= 1

    def manage(self) -> None:
        """Finish when nobody owes anything any more, the dead excepted, or time is up."""
        pids = {slot.pid for slot in self._workers.alive()}
        self._owed = {pid: n for pid, n in self._owed.items() if n > 0 and pid in pids}
        if self._owed and time.monotonic() >= self._deadline:
            late = ", ".join(str(pid) for pid in self._owed)
            events.CONFIG_LATE.tell(log, pids=late)
            self._owed.clear()
        if not self._owed:
            self._live.settle()
            asked, self._asked = self._asked, []
            for reply, result in asked:
                reply({"ok": True, "reload": result.fields()})
            if self._is_under_way:
                self._is_under_way = False
                self._done()

    def next_due(self) -> float | None:
        """Return when (time.monotonic) the wait is over; None: nobody is waited for."""
        return self._deadline if self._owed else None
