"""Rows about what keeps clients on their servers: SHOW PINS, a row for each reason in each pool.

`clients` has it now, `total` came to have it. Source: docs/sessions.md, "What pins".
"""

from __future__ import annotations

from collections.abc import Iterable

from greenpool.admin.result import Row
from greenpool.admin.view import View
from greenpool.protocol.backend import INT8, Column
from greenpool.records import Pin

PINS_COLUMNS = (
    Column("database"),
    Column("user"),
    Column("pinned"),
    Column("clients", INT8),
    Column("total", INT8),
)


def pins_rows(view: View) -> Iterable[Row]:
    """Make the rows of SHOW PINS."""
    for pool in view.segment.pool_rows():
        for pin, now, total in zip(Pin, pool.cl_pinned, pool.pins_of, strict=True):
            yield pool.database, pool.user, pin_words(pin), now, total


def pin_words(pin: Pin) -> str:
    """Word a reason as SHOW CLIENTS does: `temp table`."""
    return str(pin.name).lower().replace("_", " ")
