"""What the console says at one moment, as far as the view needs it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from greenpool.admin.client import ConsoleClient
from greenpool.inquiry import Table

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reading:
    """Rows of SHOW POOLS, STATS and WORKERS, by the names of their columns; NULL is empty."""

    at_s: float
    pools: tuple[Row, ...]
    stats: tuple[Row, ...]
    workers: tuple[Row, ...]


def read(console: ConsoleClient) -> Reading:
    """Ask the console. Raises: ControlError."""
    tables = [rows_of(console.show(what)) for what in ("pools", "stats", "workers")]
    return Reading(time.monotonic(), *tables)


def rows_of(table: Table) -> tuple[Row, ...]:
    """Return the rows as mappings."""
    names = [column.name for column in table.columns]
    return tuple(
        dict(zip(names, (value or "" for value in row), strict=True)) for row in table.rows
    )
