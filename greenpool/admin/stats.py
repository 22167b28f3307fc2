"""SHOW STATS: totals per database, and their averages over the last stats period.

Counters live in the segment and only grow. The averages need two looks at them: `StatsWindow`
keeps what a caller (the worker's janitor) sampled every `STATS_PERIOD_S`, and the average goes
from the older of the two kept samples to now, so it covers one to two periods, as PgBouncer's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from greenpool.admin.result import Row
from greenpool.protocol.backend import INT8, Column
from greenpool.records import PoolRow

STATS_PERIOD_S = 60
"""Seconds between two samples; PgBouncer's default stats_period."""

_NS_PER_US = 1000
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Totals:
    """The counters of one database, over its users and all workers."""

    assignments: int = 0
    xact_count: int = 0
    query_count: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    xact_ns: int = 0
    query_ns: int = 0
    wait_ns: int = 0
    wait_count: int = 0
    errors: int = 0
    timeouts: int = 0
    logins: int = 0
    login_failures: int = 0
    taken_own: int = 0
    taken_other: int = 0
    handed_away: int = 0
    looks: int = 0
    pins: int = 0

    @classmethod
    def of(cls, row: PoolRow) -> Totals:
        """Take the counters of one pool. A server comes from an idle set or at a wait's end."""
        counters = {name: getattr(row, name) for name in _COUNTERS}
        return cls(assignments=row.taken_own + row.taken_other + row.wait_count, **counters)

    def plus(self, other: Totals) -> Totals:
        """Add the counters of another pool."""
        return Totals(*(getattr(self, name) + getattr(other, name) for name in _FIELDS))

    def since(self, other: Totals) -> Totals:
        """Return what came since `other`; never below 0, for a pool may have been removed."""
        return Totals(*(max(0, getattr(self, name) - getattr(other, name)) for name in _FIELDS))


_FIELDS = tuple(field.name for field in fields(Totals))
_COUNTERS = tuple(name for name in _FIELDS if name != "assignments")
_NOTHING = Totals()

# (name in SHOW STATS, field of Totals): times are shown in microseconds.
_TOTAL_COUNTS = (
    ("total_server_assignment_count", "assignments"),
    ("total_xact_count", "xact_count"),
    ("total_query_count", "query_count"),
    ("total_received", "bytes_received"),
    ("total_sent", "bytes_sent"),
)
_TOTAL_TIMES = (
    ("total_xact_time", "xact_ns"),
    ("total_query_time", "query_ns"),
    ("total_wait_time", "wait_ns"),
)
_AVERAGE_RATES = (
    ("avg_server_assignment_count", "assignments"),
    ("avg_xact_count", "xact_count"),
    ("avg_query_count", "query_count"),
    ("avg_recv", "bytes_received"),
    ("avg_sent", "bytes_sent"),
)
# (name, field of the time, field of the count that it is divided by)
_AVERAGE_TIMES = (
    ("avg_xact_time", "xact_ns", "xact_count"),
    ("avg_query_time", "query_ns", "query_count"),
    ("avg_wait_time", "wait_ns", "assignments"),
)
# PgBouncer counts the statements that it prepares itself; greenpool prepares none.
_PREPARED = ("client_parse_count", "server_parse_count", "bind_count")
# Ours, after PgBouncer's.
_MORE_COUNTS = (
    ("total_wait_count", "wait_count"),
    ("total_error_count", "errors"),
    ("total_wait_timeout_count", "timeouts"),
    ("total_server_login_count", "logins"),
    ("total_server_login_failure_count", "login_failures"),
    ("total_taken_own_count", "taken_own"),
    ("total_taken_other_count", "taken_other"),
    ("total_handed_away_count", "handed_away"),
    ("total_session_look_count", "looks"),
    ("total_pin_count", "pins"),
)

STATS_COLUMNS = (
    Column("database"),
    *(
        Column(name, INT8)
        for name in (
            *(name for name, _ in _TOTAL_COUNTS),
            *(name for name, _ in _TOTAL_TIMES),
            *(f"total_{name}" for name in _PREPARED),
            *(name for name, _ in _AVERAGE_RATES),
            *(name for name, _, _ in _AVERAGE_TIMES),
            *(f"avg_{name}" for name in _PREPARED),
            *(name for name, _ in _MORE_COUNTS),
        )
    ),
)


def by_database(rows: Iterable[PoolRow]) -> dict[str, Totals]:
    """Sum the pools of each database."""
    totals: dict[str, Totals] = {}
    for row in rows:
        totals[row.database] = totals.get(row.database, _NOTHING).plus(Totals.of(row))
    return totals


@dataclass(frozen=True, slots=True)
class _Sample:
    taken_ns: int
    totals: Mapping[str, Totals]


class StatsWindow:
    """The last two samples of the counters; before the first, every average is 0."""

    __slots__ = ("_newer", "_older")

    def __init__(self) -> None:
        self._older: _Sample | None = None
        self._newer: _Sample | None = None

    def sample(self, rows: Iterable[PoolRow], now_ns: int) -> None:
        """Keep the counters of now; call it at start and then every STATS_PERIOD_S."""
        sample = _Sample(now_ns, by_database(rows))
        self._older, self._newer = self._newer or sample, sample

    def stats_rows(self, rows: Iterable[PoolRow], now_ns: int) -> Iterable[Row]:
        """Make the rows of SHOW STATS, databases in alphabetical order."""
        current = by_database(rows)
        start = self._older or _Sample(now_ns, current)
        for database, totals in sorted(current.items()):
            recent = totals.since(start.totals.get(database, _NOTHING))
            yield _stats_row(database, totals, recent, now_ns - start.taken_ns)


def _stats_row(database: str, totals: Totals, recent: Totals, period_ns: int) -> Row:
    none = [0] * len(_PREPARED)
    return [
        database,
        *(getattr(totals, field) for _, field in _TOTAL_COUNTS),
        *(getattr(totals, field) // _NS_PER_US for _, field in _TOTAL_TIMES),
        *none,
        *(_per_second(getattr(recent, field), period_ns) for _, field in _AVERAGE_RATES),
        *(
            getattr(recent, field) // _NS_PER_US // (getattr(recent, count) or 1)
            for _, field, count in _AVERAGE_TIMES
        ),
        *none,
        *(getattr(totals, field) for _, field in _MORE_COUNTS),
    ]


def _per_second(count: int, period_ns: int) -> int:
    return count * _NS_PER_S // period_ns if period_ns > 0 else 0
