"""SHOW STATS, STATS_TOTALS, STATS_AVERAGES, TOTALS: counters of databases, and their averages.

Counters live in the segment and only grow. The averages need two looks at them: `StatsWindow`
keeps what a caller (the worker's janitor) sampled every `STATS_PERIOD_S`, and the average goes
from the older of the two kept samples to now, so it covers one to two periods, as PgBouncer's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from greenpool.admin.result import Row
from greenpool.protocol.backend import INT8, NUMERIC, Column
from greenpool.records import Reason
from greenpool.rows import PoolRow

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
    client_idle_timeouts: int = 0
    idle_transaction_timeouts: int = 0
    transaction_timeouts: int = 0
    query_timeouts: int = 0
    copy_timeouts: int = 0
    write_timeouts: int = 0
    wait_notices: int = 0
    client_parses: int = 0
    server_parses: int = 0
    binds: int = 0

    @classmethod
    def of(cls, row: PoolRow) -> Totals:
        """Take the counters of one pool. A server comes from an idle set or at a wait's end."""
        counters = {name: getattr(row, name) for name in _COUNTERS}
        ends = {name: row.client_ends[reason] for name, reason in _ENDS.items()}
        assignments = row.taken_own + row.taken_other + row.wait_count
        return cls(assignments=assignments, **counters, **ends)

    def plus(self, other: Totals) -> Totals:
        """Add the counters of another pool."""
        return Totals(*(getattr(self, name) + getattr(other, name) for name in _FIELDS))

    def since(self, other: Totals) -> Totals:
        """Return what came since `other`; never below 0, for a pool may have been removed."""
        return Totals(*(max(0, getattr(self, name) - getattr(other, name)) for name in _FIELDS))


_FIELDS = tuple(field.name for field in fields(Totals))
# Those that are clients' ends.
_ENDS = {
    "client_idle_timeouts": Reason.CLIENT_IDLE,
    "idle_transaction_timeouts": Reason.IDLE_TRANSACTION,
    "transaction_timeouts": Reason.TRANSACTION_TIMEOUT,
    "copy_timeouts": Reason.COPY_TIMEOUT,
    "write_timeouts": Reason.WRITE_TIMEOUT,
}
_COUNTERS = tuple(name for name in _FIELDS if name != "assignments" and name not in _ENDS)
_NOTHING = Totals()


@dataclass(frozen=True, slots=True)
class _Measure:
    """What PgBouncer counts: its names in SHOW STATS, in the other three, and ours of the fields.

    Its average is a rate by the second, or, where `count` says what it is divided by, a time.
    """

    stats_name: str
    name: str
    totals_name: str
    field: str
    count: str = ""

    def total(self, totals: Totals) -> int:
        value: int = getattr(totals, self.field)
        return value // _NS_PER_US if self.count else value

    def average(self, recent: Totals, period_ns: int) -> int:
        total = self.total(recent)
        if self.count:
            return total // (getattr(recent, self.count) or 1)
        return total * _NS_PER_S // period_ns if period_ns > 0 else 0


def _same(name: str, field: str, count: str = "") -> _Measure:
    return _Measure(name, name, name, field, count)


_MEASURES = (
    _same("server_assignment_count", "assignments"),
    _same("xact_count", "xact_count"),
    _same("query_count", "query_count"),
    _Measure("received", "bytes_received", "client_bytes", "bytes_received"),
    _Measure("sent", "bytes_sent", "server_bytes", "bytes_sent"),
    _same("xact_time", "xact_ns", "xact_count"),
    _same("query_time", "query_ns", "query_count"),
    _same("wait_time", "wait_ns", "assignments"),
    _Measure("client_parse_count", "client_parse_count", "ps_client_parse_count", "client_parses"),
    _Measure("server_parse_count", "server_parse_count", "ps_server_parse_count", "server_parses"),
    _Measure("bind_count", "bind_count", "ps_bind_count", "binds"),
)
# PgBouncer's names of two averages, and of three more in SHOW STATS_AVERAGES.
_STATS_AVERAGES = {"received": "recv"}
_UNLIKE = frozenset(("client_parse_count", "server_parse_count", "bind_count"))
# Ours, after PgBouncer's. The first is PgBouncer's of old, which Debian's exporter asks for.
_MORE_COUNTS = (
    ("total_requests", "query_count"),
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
    ("total_client_idle_timeout_count", "client_idle_timeouts"),
    ("total_idle_transaction_timeout_count", "idle_transaction_timeouts"),
    ("total_transaction_timeout_count", "transaction_timeouts"),
    ("total_query_timeout_count", "query_timeouts"),
    ("total_copy_timeout_count", "copy_timeouts"),
    ("total_wait_notice_count", "wait_notices"),
    ("total_write_timeout_count", "write_timeouts"),
)


def _columns(*names: str) -> tuple[Column, ...]:
    return (Column("database"), *(Column(name, NUMERIC) for name in names))


STATS_COLUMNS = (
    *_columns(
        *(f"total_{each.stats_name}" for each in _MEASURES),
        *(f"avg_{_STATS_AVERAGES.get(each.stats_name, each.stats_name)}" for each in _MEASURES),
    ),
    *(Column(name, INT8) for name, _ in _MORE_COUNTS),
)
STATS_TOTALS_COLUMNS = _columns(*(each.name for each in _MEASURES))
STATS_AVERAGES_COLUMNS = _columns(
    *(f"avg_{each.name}" if each.name in _UNLIKE else each.name for each in _MEASURES)
)
TOTALS_COLUMNS = (Column("name"), Column("value", NUMERIC))


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
        for span in self._spans(rows, now_ns):
            more = (getattr(span.totals, field) for _, field in _MORE_COUNTS)
            yield span.database, *span.all_totals(), *span.all_averages(), *more

    def totals_rows(self, rows: Iterable[PoolRow], now_ns: int) -> Iterable[Row]:
        """Make the rows of SHOW STATS_TOTALS."""
        for span in self._spans(rows, now_ns):
            yield span.database, *span.all_totals()

    def averages_rows(self, rows: Iterable[PoolRow], now_ns: int) -> Iterable[Row]:
        """Make the rows of SHOW STATS_AVERAGES."""
        for span in self._spans(rows, now_ns):
            yield span.database, *span.all_averages()

    def sum_rows(self, rows: Iterable[PoolRow], now_ns: int) -> Iterable[Row]:
        """Make the rows of SHOW TOTALS: all databases together, a number a row."""
        whole = _Span("", _NOTHING, _NOTHING, 0)
        for span in self._spans(rows, now_ns):
            whole = whole.plus(span)
        for word, numbers in ("total", whole.all_totals()), ("avg", whole.all_averages()):
            for measure, number in zip(_MEASURES, numbers, strict=True):
                yield f"{word}_{measure.totals_name}", number

    def _spans(self, rows: Iterable[PoolRow], now_ns: int) -> Iterable[_Span]:
        current = by_database(rows)
        start = self._older or _Sample(now_ns, current)
        for database, totals in sorted(current.items()):
            recent = totals.since(start.totals.get(database, _NOTHING))
            yield _Span(database, totals, recent, now_ns - start.taken_ns)


@dataclass(frozen=True, slots=True)
class _Span:
    """A database: what was counted in all, and in the last `period_ns`."""

    database: str
    totals: Totals
    recent: Totals
    period_ns: int

    def plus(self, other: _Span) -> _Span:
        """Add another database, of the same period."""
        totals, recent = self.totals.plus(other.totals), self.recent.plus(other.recent)
        return _Span(self.database, totals, recent, other.period_ns)

    def all_totals(self) -> list[int]:
        return [each.total(self.totals) for each in _MEASURES]

    def all_averages(self) -> list[int]:
        return [each.average(self.recent, self.period_ns) for each in _MEASURES]
