"""The sizes of pools: every rule about how PostgreSQL's connections are shared out is here.

    connections = max_connections - superuser slots - reserved slots - what is left to others
    to share    = connections * overcommit

1. Every pool gets one connection, even where there are not enough: it could do nothing with none.
2. The rest is given out one by one, in turn, first to pools that have traces of use (the role owns
   something in the database or was granted something there), then to the others, until it is
   used up, or every pool has reached `largest`, the connection limit of its role over all
   databases, or that of its database over all roles.

So the sum never exceeds what PostgreSQL has to give, unless there are more pools than that or an
overcommit asks for it, and a role or database with a limit of its own is never refused by
PostgreSQL. What others need (`reserve`): migrations, monitoring, people; 10 % unless told
otherwise. Documented in docs/generate.md.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from greenpool.generate.server import Access, Server

DEFAULT_LARGEST = 40
"""As the default of pool_size."""

_RESERVE_SHARE = 0.1

Pair = tuple[str, str]
"""Database and role: a pool."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be asked for; `reserve` None: a tenth of max_connections."""

    largest: int = DEFAULT_LARGEST
    reserve: int | None = None
    overcommit: float = 1.0


@dataclass(frozen=True, slots=True)
class Budget:
    """How many connections there are to share, and where the others have gone."""

    max_connections: int
    for_superusers: int
    for_others: int
    to_share: int


def budget(server: Server, rules: Rules) -> Budget:
    """Return what there is to share, at least one."""
    others = rules.reserve
    if others is None:
        others = math.ceil(server.max_connections * _RESERVE_SHARE)
    for_superusers = server.superuser_slots + server.reserved_slots
    connections = server.max_connections - for_superusers - others
    return Budget(
        server.max_connections,
        for_superusers,
        others,
        max(1, math.floor(connections * rules.overcommit)),
    )


def share_out(server: Server, pools: Sequence[Access], rules: Rules) -> Mapping[Pair, int]:
    """Return the size of each pool."""
    division = _Division(server, pools, rules)
    division.fill(pool for pool in pools if pool.has_traces)
    division.fill(pool for pool in pools if not pool.has_traces)
    return division.sizes


class _Division:
    """Connections that are being given out."""

    def __init__(self, server: Server, pools: Sequence[Access], rules: Rules) -> None:
        self.sizes: dict[Pair, int] = {(pool.database, pool.role): 1 for pool in pools}
        self._left = budget(server, rules).to_share - len(self.sizes)
        self._largest = rules.largest
        self._role_limits = {role.name: role.connection_limit for role in server.roles}
        self._database_limits = {each.name: each.connection_limit for each in server.databases}
        self._of_database = Counter(database for database, _ in self.sizes)
        self._of_role = Counter(role for _, role in self.sizes)

    def fill(self, pools: Iterable[Access]) -> None:
        """Give one to each in turn, as long as there is one and somebody may have it."""
        growing = [(pool.database, pool.role) for pool in pools]
        while growing and self._left > 0:
            growing = [pair for pair in growing if self._grow(*pair)]

    def _grow(self, database: str, role: str) -> bool:
        is_full = (
            self._left <= 0
            or self.sizes[database, role] >= self._largest
            or _reached(self._role_limits.get(role), self._of_role[role])
            or _reached(self._database_limits.get(database), self._of_database[database])
        )
        if not is_full:
            self.sizes[database, role] += 1
            self._of_role[role] += 1
            self._of_database[database] += 1
            self._left -= 1
        return not is_full


def _reached(limit: int | None, count: int) -> bool:
    return limit is not None and count >= limit
