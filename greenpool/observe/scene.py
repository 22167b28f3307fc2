"""One look at everything: what a scrape and the health checks are answered from.

Law: only what processes share, the master's news and the kernel are looked at; no other process is
asked, so a scrape is answered whatever the workers do. Rows are copies, each right for its own
moment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from greenpool.observe.certificates import Certificate, certificates_of
from greenpool.observe.events import KEPT
from greenpool.observe.lookups import LookupRow, lookup_rows
from greenpool.observe.news import News
from greenpool.observe.processes import PUMP, ProcessRow, process_rows
from greenpool.observe.times import Ladder, Rungs, Window
from greenpool.records import TimeKind
from greenpool.rows import DatabaseRow, PoolRow, Times, WorkerRow
from greenpool.tallies import Tallies

PoolTime = tuple[TimeKind, int]
"""A kind of time in a pool, by its index."""


class Chronicle(Protocol):
    """What has happened to the house."""

    def count(self, kind: int) -> int: ...


class Snapshots(Protocol):
    """The reading half of `engine.Segment`."""

    @property
    def chronicle(self) -> Chronicle: ...

    def pool_rows(self) -> Sequence[PoolRow]: ...
    def database_rows(self) -> Sequence[DatabaseRow]: ...
    def worker_rows(self) -> Sequence[WorkerRow]: ...
    def pump_pids(self) -> Sequence[int]: ...
    def times(
        self, kind: TimeKind, pool: int | None = None, worker: int | None = None
    ) -> Times: ...


@dataclass(frozen=True, slots=True)
class Scene:
    """How everything stands at one moment."""

    news: News
    pools: Sequence[PoolRow]
    databases: Sequence[DatabaseRow]
    lookups: Sequence[LookupRow]
    workers: Sequence[WorkerRow]
    processes: Sequence[ProcessRow]
    certificates: Sequence[Certificate]
    pool_times: Mapping[PoolTime, Rungs]
    worker_times: Mapping[tuple[TimeKind, int], Rungs]
    percentiles_s: Mapping[PoolTime, Mapping[int, float]]
    happened: Mapping[int, int]
    """How many events of each kept kind there were."""
    now_ns: int
    """On the segment's clock."""


@dataclass(slots=True)
class Lookout:
    """Where the observer looks from. `news` is the one thing that changes; any thread may look."""

    segment: Snapshots
    tallies: Tallies
    ladder: Ladder
    news: News
    _certificates: Sequence[Certificate] = field(init=False)
    _window: Window = field(default_factory=Window)

    def __post_init__(self) -> None:
        self.hear(self.news)

    def hear(self, news: News) -> None:
        """Take the master's news."""
        self._certificates = certificates_of(news.config)
        self.news = news

    def sample(self) -> None:
        """Remember the times of now: call it every PERIOD_S."""
        rows = self.segment.pool_rows()
        self._window.sample({key: times.counts for key, times in self._pool_times(rows).items()})

    def look(self) -> Scene:
        """Look at everything now."""
        news, window = self.news, self._window
        pools, workers = self.segment.pool_rows(), self._workers(news)
        times = self._pool_times(pools)
        return Scene(
            news=news,
            pools=pools,
            databases=self.segment.database_rows(),
            lookups=list(lookup_rows(pools, news.config, self.tallies)),
            workers=workers,
            processes=process_rows(_pids(news, workers, self.segment.pump_pids())),
            certificates=self._certificates,
            pool_times={key: self.ladder.rungs(each) for key, each in times.items()},
            worker_times={
                (kind, row.index): self.ladder.rungs(self.segment.times(kind, worker=row.index))
                for row in workers
                for kind in TimeKind
            },
            percentiles_s={
                key: self.ladder.percentiles(window.recent(key, each.counts))
                for key, each in times.items()
            },
            happened={kind: self.segment.chronicle.count(kind) for kind in KEPT},
            now_ns=time.monotonic_ns(),
        )

    def _workers(self, news: News) -> list[WorkerRow]:
        """Return the rows of this generation, dead or alive, and of whoever lives of another."""
        rows = self.segment.worker_rows()
        return [row for row in rows if row.alive or row.index in news.places]

    def _pool_times(self, pools: Sequence[PoolRow]) -> dict[PoolTime, Times]:
        return {
            (kind, row.index): self.segment.times(kind, pool=row.index)
            for row in pools
            for kind in TimeKind
        }


def _pids(
    news: News, workers: Sequence[WorkerRow], pumps: Sequence[int]
) -> dict[tuple[str, str], int]:
    pids = {("master", ""): news.master_pid, ("observer", ""): os.getpid()}
    pids |= {("worker", str(row.index)): row.pid for row in workers if row.alive}
    pids |= {(PUMP, str(pid)): pid for pid in pumps}
    return pids
