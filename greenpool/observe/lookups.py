"""What auth_query has done in each pool that has one: for the console and for a scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from greenpool.config import LOOKUP_USER, Config, guest_member, lookup_of
from greenpool.rows import PoolRow
from greenpool.tallies import Tallies, Tally


@dataclass(frozen=True, slots=True)
class LookupRow:
    """One pool's auth_query, over all workers."""

    database: str
    counts: Mapping[Tally, int]
    found_pools: int
    """Pools of users that it has found, as of now."""


def lookup_rows(pools: Iterable[PoolRow], config: Config, tallies: Tallies) -> Iterator[LookupRow]:
    """Make a row for each pool that looks users up and has its place in the segment."""
    pools = list(pools)
    places = {row.database: row.index for row in pools if row.user == LOOKUP_USER}
    found = Counter(
        lookup_of(config, row.database)[0]
        for row in pools
        if guest_member(config, row.database, row.user)
    )
    for name, pool in sorted(config.pools.items()):
        if pool.auth_query is not None and name in places:
            counts = {tally: tallies.total(places[name], tally) for tally in Tally}
            yield LookupRow(name, counts, found[name])
