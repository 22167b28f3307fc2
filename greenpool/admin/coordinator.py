"""Rows about databases whose users share max_db_connections: POOL_COORDINATOR.

The columns up to `exhaustions` are PgDoorman's; ours follow.
"""

from __future__ import annotations

from collections.abc import Iterable

from greenpool.admin.result import Row
from greenpool.admin.view import View
from greenpool.config import LOOKUP_USER
from greenpool.protocol.backend import INT8, Column

COORDINATOR_COLUMNS = (
    Column("database"),
    Column("max_db_conn", INT8),
    Column("current", INT8),
    Column("reserve_size", INT8),
    Column("reserve_used", INT8),
    Column("evictions", INT8),
    Column("reserve_acq", INT8),
    Column("exhaustions", INT8),
    # ours
    Column("cessions", INT8),
    Column("promotions", INT8),
    Column("pools", INT8),
    Column("cl_waiting", INT8),
)


def coordinator_rows(view: View) -> Iterable[Row]:
    """Make a row for each database that has a limit and pools.

    `current` are all places that are taken: also by servers that log in, are being closed, or are
    in the reserve. `evictions` are servers that were closed for other users, `cessions` those of
    them that came from users who were never idle; `promotions` are servers that left the reserve.
    """
    waiting: dict[str, int] = {}
    for pool in view.segment.pool_rows():
        if pool.user != LOOKUP_USER:
            waiting[pool.database] = waiting.get(pool.database, 0) + pool.cl_waiting
    for row in view.segment.database_rows():
        if row.max:
            yield (
                *(row.name, row.max, row.used, row.reserve, row.reserve_used),
                *(row.evictions, row.reserve_grants, row.exhaustions),
                *(row.cessions, row.promotions, row.pools, waiting.get(row.name, 0)),
            )
