"""Rows of SHOW POOLS_EXTENDED: a pool's clients and servers, its bytes, and its times of late.

Columns, order and spelling are PgDoorman's. Percentiles are microseconds, of what was measured from
the older of two samples to now (`RecentTimes`), as the averages of SHOW STATS are; 0: nothing was.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from greenpool.admin.result import Row
from greenpool.observe.times import Ladder, Window
from greenpool.protocol.backend import INT4, NUMERIC, Column
from greenpool.records import TimeKind
from greenpool.rows import PoolRow

if TYPE_CHECKING:
    from greenpool.admin.view import Snapshots, View

_KINDS = (("query", TimeKind.QUERY), ("transaction", TimeKind.TRANSACTION))
_PERCENTILES = (99, 95, 50)
_US_PER_S = 1_000_000

EXTENDED_COLUMNS = (
    Column("database"),
    Column("user"),
    Column("cl_active", INT4),
    Column("cl_waiting", INT4),
    Column("sv_active", INT4),
    Column("sv_idle", INT4),
    Column("sv_used", INT4),
    Column("sv_login", INT4),
    Column("maxwait", INT4),
    Column("maxwait_us", INT4),
    Column("pool_mode"),
    Column("bytes_recieved", NUMERIC),
    Column("bytes_sent", NUMERIC),
    *(
        Column(f"{word}_{percentile / 100:g}", NUMERIC)
        for percentile in _PERCENTILES
        for word, _ in _KINDS
    ),
)


class RecentTimes:
    """The last two samples of the times of each pool; before the first, all times count."""

    __slots__ = ("_ladder", "_segment", "_window")

    def __init__(self, segment: Snapshots, ladder: Ladder) -> None:
        self._segment = segment
        self._ladder = ladder
        self._window = Window()

    def sample(self, rows: Iterable[PoolRow]) -> None:
        """Keep the times of now; call it at start and then every `stats.STATS_PERIOD_S`."""
        self._window.sample(
            {
                (kind, row.index): array("Q", self._counts(kind, row.index))
                for row in rows
                for _, kind in _KINDS
                if row.query_count
            }
        )

    def percentiles_s(self, kind: TimeKind, pool: int) -> Mapping[int, float]:
        """Return seconds by percentile; {}: nothing has been measured of late."""
        counts = self._counts(kind, pool)
        return self._ladder.percentiles(self._window.recent((kind, pool), counts))

    def _counts(self, kind: TimeKind, pool: int) -> Sequence[int]:
        return self._segment.times(kind, pool=pool).counts


def extended_rows(view: View) -> Iterable[Row]:
    """Make a row for each (database, user). `cl_active` counts idle clients, as SHOW POOLS does."""
    for row in view.segment.pool_rows():
        maxwait_s, rest_ns = divmod(row.maxwait_ns, 1_000_000_000)
        times = [view.times.percentiles_s(kind, row.index) for _, kind in _KINDS]
        yield (
            row.database,
            row.user,
            row.cl_active + row.cl_idle,
            row.cl_waiting,
            row.sv_active,
            row.sv_idle,
            0,
            row.sv_login,
            maxwait_s,
            rest_ns // 1000,
            row.settings.mode.name.lower(),
            row.bytes_received,
            row.bytes_sent,
            *(
                round(each.get(percentile, 0) * _US_PER_S)
                for percentile in _PERCENTILES
                for each in times
            ),
        )
