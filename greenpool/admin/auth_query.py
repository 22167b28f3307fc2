"""Rows about users who are looked up: SHOW AUTH_QUERY, with PgDoorman's columns; ours follow."""

from __future__ import annotations

from collections.abc import Iterable

from greenpool.admin.result import Row
from greenpool.admin.view import View
from greenpool.observe.lookups import lookup_rows
from greenpool.protocol.backend import INT8, Column
from greenpool.tallies import Tally

_COUNTED = (
    Tally.CACHE_ENTRIES,
    Tally.CACHE_HITS,
    Tally.CACHE_MISSES,
    Tally.CACHE_REFETCHES,
    Tally.RATE_LIMITED,
    Tally.AUTH_SUCCESS,
    Tally.AUTH_FAILURE,
    Tally.EXECUTOR_QUERIES,
    Tally.EXECUTOR_ERRORS,
)
_COUNTED_BY_US = (Tally.POOLS_CREATED, Tally.POOLS_DESTROYED, Tally.CACHE_UNKNOWN)

AUTH_QUERY_COLUMNS = (
    Column("database"),
    *(Column(tally.name.lower(), INT8) for tally in _COUNTED),
    # ours
    Column("dynamic_pools", INT8),
    Column("dynamic_pools_created", INT8),
    Column("dynamic_pools_destroyed", INT8),
    Column("cache_unknown", INT8),
)


def auth_query_rows(view: View) -> Iterable[Row]:
    """Make a row for each pool that looks users up; counted over all workers.

    `cache_unknown` are those of the cache's entries that say that there is no such user.
    """
    for row in lookup_rows(view.segment.pool_rows(), view.config, view.tallies):
        theirs = (row.counts[tally] for tally in _COUNTED)
        ours = (row.counts[tally] for tally in _COUNTED_BY_US)
        yield (row.database, *theirs, row.found_pools, *ours)
