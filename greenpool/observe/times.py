"""Histograms of the segment as Prometheus wants them, and percentiles of the last minute.

The segment has 400 buckets, each no wider than a sixteenth of what is in it. `Ladder` adds them up
to the few bounds that are published: a time counts under a bound if its whole bucket does, so one
that is less than a sixteenth below a bound may count under the next.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from greenpool.rows import Times

NS_PER_S = 1_000_000_000

BOUNDS_S = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""The published bounds; the last one of all is infinite."""

PERCENTILES = (50, 90, 95, 99)

PERIOD_S = 30.0
"""Between two samples of `Window`."""


@dataclass(frozen=True, slots=True)
class Rungs:
    """One histogram: how many times lie under each of BOUNDS_S, how many there are, their sum."""

    under: tuple[int, ...]
    count: int
    sum_s: float


class Ladder:
    """What follows from the bounds of the segment's buckets (`engine.time_bounds_ns`)."""

    __slots__ = ("_bounds_ns", "_places")

    def __init__(self, bounds_ns: Sequence[int]) -> None:
        self._bounds_ns = bounds_ns
        self._places = [bisect_right(bounds_ns, round(each * NS_PER_S)) for each in BOUNDS_S]

    def rungs(self, times: Times) -> Rungs:
        """Add buckets up to the published ones."""
        under = [0, *accumulate(times.counts)]
        return Rungs(
            tuple(under[place] for place in self._places), under[-1], times.sum_ns / NS_PER_S
        )

    def percentiles(self, counts: Sequence[int]) -> dict[int, float]:
        """Return seconds by percentile (nearest rank), a sixteenth too much at most; {}: none."""
        under = list(accumulate(counts))
        total = under[-1]
        if not total:
            return {}
        places = {p: bisect_right(under, -(-total * p // 100) - 1) for p in PERCENTILES}
        # Of the last bucket nothing is known but where it begins.
        last = len(self._bounds_ns) - 2
        return {p: self._bounds_ns[min(at, last)] / NS_PER_S for p, at in places.items()}


Counts = Mapping[object, Sequence[int]]


class Window:
    """The last two samples: what is recent goes from the older one to now, one to two periods."""

    __slots__ = ("_newer", "_older")

    def __init__(self) -> None:
        self._older: Counts = {}
        self._newer: Counts = {}

    def sample(self, counts: Counts) -> None:
        """Keep the counts of now; call it every PERIOD_S."""
        self._older, self._newer = self._newer, counts

    def recent(self, key: object, counts: Sequence[int]) -> Sequence[int]:
        """Return what came since the older sample; all there is before there are two."""
        before = self._older.get(key)
        if before is None:
            return counts
        return [now - then for now, then in zip(counts, before, strict=True)]
