"""What the rows of a SHOW are made from: one look at the segment, the configuration, the time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from greenpool.admin.extended import RecentTimes
from greenpool.admin.stats import StatsWindow
from greenpool.config import Config
from greenpool.records import TimeKind
from greenpool.rows import ChronicleRow, ClientRow, DatabaseRow, PoolRow, SlotRow, Times, WorkerRow
from greenpool.tallies import Tallies


class Chronicle(Protocol):
    """What has happened to the house."""

    def rows(self) -> Iterator[ChronicleRow]: ...


class Snapshots(Protocol):
    """The reading half of `engine.Segment`: copies of what the workers share."""

    @property
    def chronicle(self) -> Chronicle: ...

    def pool_rows(self) -> Sequence[PoolRow]: ...

    def database_rows(self) -> Sequence[DatabaseRow]: ...

    def slot_rows(self, pool: int) -> Sequence[SlotRow]: ...

    def client_row(self, client: int) -> ClientRow | None: ...

    def client_rows(self) -> Iterable[ClientRow]: ...

    def worker_rows(self) -> Sequence[WorkerRow]: ...

    def times(
        self, kind: TimeKind, pool: int | None = None, worker: int | None = None
    ) -> Times: ...
    def is_suspended(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on the two clocks: the segment's (CLOCK_MONOTONIC) and the calendar's (UTC)."""

    monotonic_ns: int
    epoch_ns: int

    @classmethod
    def now(cls) -> Moment:
        """Read both clocks."""
        return cls(time.monotonic_ns(), time.time_ns())

    def age_ns(self, monotonic_ns: int) -> int:
        """Return how long ago a time of the segment was; 0 for one that lies ahead or is 0."""
        return max(0, self.monotonic_ns - monotonic_ns) if monotonic_ns else 0

    def calendar(self, monotonic_ns: int) -> str:
        """Write a time of the segment as PgBouncer does; an empty string for none."""
        if not monotonic_ns:
            return ""
        seconds = (self.epoch_ns - self.age_ns(monotonic_ns)) // 1_000_000_000
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


@dataclass(frozen=True, slots=True)
class View:
    """All that a row maker may look at."""

    segment: Snapshots
    tallies: Tallies
    config: Config
    window: StatsWindow
    times: RecentTimes
    now: Moment
