"""From the segment's buckets to Prometheus's, and to percentiles of what is recent."""

from __future__ import annotations

import pytest

from greenpool.observe.times import BOUNDS_S, Ladder, Window
from greenpool.records import TIME_BUCKETS
from greenpool.rows import Times
from greenpool.segment import time_bounds_ns

S = 1_000_000_000


def counts_of(*seconds: float) -> list[int]:
    """Count times as the engine does."""
    bounds, counts = time_bounds_ns(), [0] * TIME_BUCKETS
    for each in seconds:
        counts[next(i for i, bound in enumerate(bounds) if each * S <= bound)] += 1
    return counts


@pytest.fixture(scope="module")
def ladder() -> Ladder:
    return Ladder(time_bounds_ns())


def test_every_rung_counts_what_lies_below_it(ladder: Ladder) -> None:
    values = [bound * share for bound in BOUNDS_S for share in (0.9, 1.01)]
    rungs = ladder.rungs(Times(7 * S // 2, counts_of(*values, 1e9)))
    assert rungs.under == tuple(range(1, 2 * len(BOUNDS_S), 2))
    assert (rungs.count, rungs.sum_s) == (2 * len(BOUNDS_S) + 1, 3.5)


def test_nothing_has_empty_rungs_and_no_percentile(ladder: Ladder) -> None:
    nothing = [0] * TIME_BUCKETS
    assert ladder.rungs(Times(0, nothing)).count == 0
    assert ladder.percentiles(nothing) == {}


@pytest.mark.parametrize("unit", [1e-5, 1e-3, 0.1])
def test_percentiles_are_right_to_a_sixteenth(ladder: Ladder, unit: float) -> None:
    found = ladder.percentiles(counts_of(*(unit * n for n in range(1, 101))))
    assert list(found) == [50, 90, 95, 99]
    for percentile, seconds in found.items():
        assert unit * percentile <= seconds <= unit * percentile * 17 / 16


def test_one_value_is_all_percentiles(ladder: Ladder) -> None:
    assert len(set(ladder.percentiles(counts_of(0.5)).values())) == 1


def test_percentile_of_the_longest_times_is_finite(ladder: Ladder) -> None:
    assert 130 < ladder.percentiles(counts_of(1e9))[99] < 140


def test_window_goes_back_to_the_older_sample() -> None:
    window = Window()
    assert window.recent("a", [5, 5]) == [5, 5]
    window.sample({"a": [1, 0]})
    assert window.recent("a", [5, 5]) == [5, 5]
    window.sample({"a": [3, 1]})
    assert window.recent("a", [5, 5]) == [4, 5]
    window.sample({"a": [5, 5]})
    assert window.recent("a", [5, 5]) == [2, 4]
    assert window.recent("new", [1, 1]) == [1, 1]
