"""What goes by time: the engine's sweep, this worker's measured load, min_pool_size, statistics,
lists of functions that change sessions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import gevent

from greenpool.admin.stats import STATS_PERIOD_S
from greenpool.observe import events
from greenpool.observe.withheld import tell_withheld
from greenpool.worker import suspects
from greenpool.worker.state import Worker

log = logging.getLogger(__name__)

SWEEP_S = 0.1
"""Every time-out is late by this much at most; PgBouncer's janitor runs three times a second."""

GROW_S = 1.0
"""How soon a pool is filled up to min_pool_size again."""

_NEWEST = 0.3
"""Weight of the newest measurement in the smoothed load: half of it is 0.2 s old."""


class BusyShare:
    """The share of a core that this thread uses, smoothed, in permille. Pure: times are given."""

    __slots__ = ("_cpu_s", "_permille", "_wall_s")

    def __init__(self, wall_s: float, cpu_s: float) -> None:
        self._wall_s = wall_s
        self._cpu_s = cpu_s
        self._permille = 0.0

    def measure(self, wall_s: float, cpu_s: float) -> int:
        """Take both clocks, return the load between 0 and 1000."""
        elapsed_s = wall_s - self._wall_s
        if elapsed_s > 0:
            newest = min(1000.0, max(0.0, 1000 * (cpu_s - self._cpu_s) / elapsed_s))
            self._permille += _NEWEST * (newest - self._permille)
        self._wall_s, self._cpu_s = wall_s, cpu_s
        return round(self._permille)


class Janitor:
    """Call `run` in a greenlet; it ends when it is killed.

    `step` runs the engine, because a sweep's events come with the next step; `logins` tells how
    many clients are logging in.
    """

    __slots__ = ("_logins", "_next_grow_s", "_next_sample_s", "_share", "_step", "_worker")

    def __init__(self, worker: Worker, step: Callable[[], None], logins: Callable[[], int]) -> None:
        now_s = worker.now_s()
        self._worker = worker
        self._step = step
        self._logins = logins
        self._share = BusyShare(now_s, time.thread_time())
        self._next_grow_s = self._next_sample_s = now_s

    def run(self) -> None:
        """Greenlet: tidy up for ever. Its outermost frame: without it no time-out would end."""
        while True:
            try:
                self.tidy(self._worker.now_s())
            except Exception as exc:
                events.BUG.tell(log, exc, what="the janitor's round failed")
            gevent.sleep(SWEEP_S)

    def tidy(self, now_s: float) -> None:
        """Do what is due. Switches: no."""
        engine = self._worker.engine
        busy_permille = self._share.measure(now_s, time.thread_time())
        engine.busy(busy_permille, engine.client_count() + self._logins())
        engine.sweep()
        if now_s >= self._next_grow_s:
            self._next_grow_s = now_s + GROW_S
            self._care_for_pools()
            tell_withheld()
        if now_s >= self._next_sample_s:
            self._next_sample_s = now_s + STATS_PERIOD_S
            self._worker.console.sample()
        self._step()

    def _care_for_pools(self) -> None:
        if self._worker.is_draining:
            return
        suspects.tick(self._worker)
        for entry in self._worker.pools:
            if entry.user.min_pool_size and not entry.is_locked:
                self._worker.engine.grow(entry.index)
