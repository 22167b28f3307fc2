"""Rows about users who are looked up: SHOW AUTH_QUERY, with PgDoorman's columns; ours follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from greenpool.admin.result import Row
from greenpool.admin.view import View
from greenpool.config import LOOKUP_USER, guest_member, lookup_of
from greenpool.protocol.backend import INT8, Column
from greenpool.tallies import Tally

AUTH_QUERY_COLUMNS = (
    Column("database"),
    Column("cache_entries", INT8),
    Column("cache_hits", INT8),
    Column("cache_misses", INT8),
    Column("cache_refetches", INT8),
    Column("rate_limited", INT8),
    Column("auth_success", INT8),
    Column("auth_failure", INT8),
    Column("executor_queries", INT8),
    Column("executor_errors", INT8),
    # ours
    Column("dynamic_pools", INT8),
    Column("dynamic_pools_created", INT8),
    Column("dynamic_pools_destroyed", INT8),
)


def auth_query_rows(view: View) -> Iterable[Row]:
    """Make a row for each pool that looks users up; counted over all workers."""
    rows = view.segment.pool_rows()
    places = {row.database: row.index for row in rows if row.user == LOOKUP_USER}
    found = Counter(
        lookup_of(view.config, row.database)[0]
        for row in rows
        if guest_member(view.config, row.database, row.user)
    )
    for name, pool in sorted(view.config.pools.items()):
        if pool.auth_query is None or name not in places:
            continue
        counts = {tally: view.tallies.total(places[name], tally) for tally in Tally}
        created, destroyed = counts.pop(Tally.POOLS_CREATED), counts.pop(Tally.POOLS_DESTROYED)
        yield (name, *counts.values(), found[name], created, destroyed)
