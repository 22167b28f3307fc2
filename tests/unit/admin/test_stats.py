"""Totals and averages of SHOW STATS."""

from __future__ import annotations

from typing import Any

from greenpool.admin.stats import STATS_COLUMNS, StatsWindow
from greenpool.rows import PoolRow
from tests.unit.admin.samples import S, pool

NAMES = [column.name for column in STATS_COLUMNS]


def stats(window: StatsWindow, rows: list[PoolRow], now_ns: int) -> dict[Any, dict[str, Any]]:
    made = [dict(zip(NAMES, row, strict=True)) for row in window.stats_rows(rows, now_ns)]
    return {row["database"]: row for row in made}


def test_totals_are_summed_over_the_users_of_a_database() -> None:
    rows = [
        pool(0, xact_count=3, xact_ns=9_000, bytes_received=10, errors=1),
        pool(1, user="bob", xact_count=4, xact_ns=5_999, bytes_received=20, errors=2),
        pool(2, "logs", xact_count=100),
    ]
    found = stats(StatsWindow(), rows, 5 * S)
    assert list(found) == ["app", "logs"]
    app = found["app"]
    assert (app["total_xact_count"], app["total_received"], app["total_error_count"]) == (7, 30, 3)
    assert app["total_xact_time"] == 14  # microseconds
    assert found["logs"]["total_xact_count"] == 100


def test_assignments_are_takes_and_waits() -> None:
    row = pool(taken_own=5, taken_other=2, wait_count=3, timeouts=1)
    assert stats(StatsWindow(), [row], S)["app"]["total_server_assignment_count"] == 10


def test_averages_are_zero_before_the_first_sample() -> None:
    row = stats(StatsWindow(), [pool(xact_count=5, xact_ns=S)], 9 * S)["app"]
    assert {row[name] for name in NAMES if name.startswith("avg_")} == {0}


def test_averages_reach_back_to_the_older_of_two_samples() -> None:
    window = StatsWindow()
    window.sample([pool(query_count=1000, bytes_sent=0)], 0)
    window.sample([pool(query_count=1600, bytes_sent=6000)], 60 * S)
    window.sample([pool(query_count=1900, bytes_sent=7000)], 120 * S)
    row = stats(window, [pool(query_count=2200, bytes_sent=9000)], 180 * S)["app"]
    assert row["avg_query_count"] == 5  # 600 in 120 s: the first sample is forgotten
    assert row["avg_sent"] == 25


def test_average_times_are_for_each_of_what_took_them() -> None:
    window = StatsWindow()
    window.sample([pool()], 0)
    row = pool(
        xact_count=4, xact_ns=8_000_000, query_count=8, query_ns=4_000_000,
        taken_own=3, wait_count=1, wait_ns=2_000_000,
    )  # fmt: skip
    found = stats(window, [row], 10 * S)["app"]
    assert (found["avg_xact_time"], found["avg_query_time"], found["avg_wait_time"]) == (
        2000,
        500,
        500,
    )


def test_no_time_passed_and_removed_pools_give_no_nonsense() -> None:
    window = StatsWindow()
    window.sample([pool(0, query_count=500), pool(1, user="bob", query_count=900)], 7 * S)
    assert stats(window, [pool(query_count=600)], 7 * S)["app"]["avg_query_count"] == 0
    assert stats(window, [pool(query_count=600)], 8 * S)["app"]["avg_query_count"] == 0


def test_a_database_that_came_after_the_sample_counts_from_its_start() -> None:
    window = StatsWindow()
    window.sample([pool()], 0)
    found = stats(window, [pool(), pool(2, "new", query_count=50)], 10 * S)
    assert found["new"]["avg_query_count"] == 5


def test_totals_and_averages_are_those_of_stats() -> None:
    window = StatsWindow()
    window.sample([pool(), pool(2, "logs")], 0)
    rows = [
        pool(query_count=20, query_ns=4_000_000, bytes_sent=100),
        pool(2, "logs", query_count=30, query_ns=1_000_000),
    ]
    app = stats(window, rows, 10 * S)["app"]
    totals = {row[0]: row for row in window.totals_rows(rows, 10 * S)}
    averages = {row[0]: row for row in window.averages_rows(rows, 10 * S)}
    assert list(totals["app"][1:]) == [app[name] for name in NAMES[1:12]]
    assert list(averages["app"][1:]) == [app[name] for name in NAMES[12:23]]


def test_sum_is_over_all_databases_and_averages_are_of_the_sum() -> None:
    window = StatsWindow()
    window.sample([pool(), pool(2, "logs")], 0)
    rows = [
        pool(query_count=20, query_ns=4_000_000),
        pool(2, "logs", query_count=30, query_ns=1_000_000),
    ]
    found = {row[0]: row[1] for row in window.sum_rows(rows, 10 * S)}
    assert (found["total_query_count"], found["total_query_time"]) == (50, 5000)
    assert (found["avg_query_count"], found["avg_query_time"]) == (5, 100)
    assert {row[1] for row in StatsWindow().sum_rows([], S)} == {0}
