"""Rows about how pools grow: SHOW POOL_SCALING, a row for each pool.

PgDoorman's columns come first, in its words: `gate` is the bound of logins in flight, `antic` a
client that is patient. What greenpool does in its own way is counted where it means the same:
`burst_gate_budget_ex` are patient clients whose time was over when the gate was shut,
`create_fallback` logins begun because such a time was over. Source: docs/pools.md.
"""

from __future__ import annotations

from collections.abc import Iterable

from greenpool.admin.result import Row
from greenpool.admin.view import View
from greenpool.protocol.backend import INT8, Column
from greenpool.rows import PoolRow

SCALING_COLUMNS = (
    Column("user"),
    Column("database"),
    Column("inflight", INT8),
    Column("creates", INT8),
    Column("gate_waits", INT8),
    Column("burst_gate_budget_ex", INT8),
    Column("antic_notify", INT8),
    Column("antic_timeout", INT8),
    Column("create_fallback", INT8),
    Column("replenish_def", INT8),
    # ours
    Column("servers", INT8),
    Column("warm", INT8),
    Column("pool_size", INT8),
    Column("hasty_cold", INT8),
    Column("hasty_crowd", INT8),
    Column("hasty_lasting", INT8),
    Column("hasty_slow", INT8),
    Column("spared", INT8),
    Column("login_us", INT8),
)


def scaling_rows(view: View) -> Iterable[Row]:
    """Make the rows of SHOW POOL_SCALING."""
    for row in view.segment.pool_rows():
        yield (
            row.user,
            row.database,
            row.sv_login,
            row.creates,
            row.gate_waits,
            row.gate_overdue,
            row.patience_met,
            row.patience_lost,
            row.patience_opened,
            row.fills_deferred,
            row.sv_active + row.sv_idle + row.sv_login + row.sv_canceled + row.sv_closing,
            warm_of(row),
            row.settings.size,
            *row.hastes,
            row.spared,
            row.login_ns // 1000,
        )


def warm_of(row: PoolRow) -> int:
    """Return up to how many servers the pool opens without hesitation, as growth.c has it."""
    return (row.settings.size * row.settings.warm_ratio + 99) // 100
