"""What the observer's tests look at: rows of `tests.unit.admin.samples`, times that are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from greenpool.config import Config, load
from greenpool.observe.news import LastReload, News
from greenpool.observe.scene import Lookout
from greenpool.observe.times import Ladder
from greenpool.records import TIME_BUCKETS, TimeKind
from greenpool.rows import DatabaseRow, PoolRow, Times, WorkerRow
from greenpool.tallies import Tallies
from tests.unit.admin.samples import FakeSegment

S = 1_000_000_000
MS = 1_000_000
BOUNDS_NS = [*(MS * (bucket + 1) - 1 for bucket in range(TIME_BUCKETS - 1)), 2**64 - 1]
"""Bounds that are easy to count with: bucket n holds what takes n to n + 1 ms."""

CONFIG = """
general: {host: 127.0.0.1, max_connections: 100}
pools:
  app:
    users: [{username: alice, password: hush-hush, pool_size: 10}]
"""


@dataclass
class TimedSegment:
    """Rows as a test gave them; `times` by kind and pool, otherwise there were none."""

    pools: list[PoolRow] = field(default_factory=list)
    workers: list[WorkerRow] = field(default_factory=list)
    databases: list[DatabaseRow] = field(default_factory=list)
    happened: dict[int, int] = field(default_factory=dict)
    taken: dict[tuple[TimeKind, int], list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, segment: FakeSegment) -> TimedSegment:
        return cls(segment.pools, segment.workers, segment.databases)

    @property
    def chronicle(self) -> TimedSegment:
        return self

    def count(self, kind: int) -> int:
        return self.happened.get(kind, 0)

    def pool_rows(self) -> Sequence[PoolRow]:
        return self.pools

    def database_rows(self) -> Sequence[DatabaseRow]:
        return self.databases

    def pump_pids(self) -> Sequence[int]:
        return ()

    def worker_rows(self) -> Sequence[WorkerRow]:
        return self.workers

    def times(self, kind: TimeKind, pool: int | None = None, worker: int | None = None) -> Times:
        """Count the times that were taken; all of them by worker 0."""
        counts = [0] * TIME_BUCKETS
        if worker in (None, 0):
            for (each, index), values_ms in self.taken.items():
                if each is kind and pool in (None, index):
                    for value in values_ms:
                        counts[min(value, TIME_BUCKETS - 1)] += 1
        return Times(sum(n * bucket for bucket, n in enumerate(counts)) * MS, counts)


def news_of(directory: Path, config: str = CONFIG, **fields: Any) -> News:
    """Make the news of a master that runs well."""
    news = News(
        config=_load(directory, config),
        master_pid=1,
        places=(0, 1),
        started_s=1_700_000_000.5,
        last_reload=LastReload(1_700_000_000.5, is_ok=True),
        is_draining=False,
    )
    return replace(news, **fields)


def lookout(segment: TimedSegment, news: News) -> Lookout:
    return Lookout(segment, Tallies.create(4, 2), Ladder(BOUNDS_NS), news)


def _load(directory: Path, text: str) -> Config:
    path = directory / "greenpool.yaml"
    path.write_text(text)
    path.chmod(0o600)
    return load(path, {})
