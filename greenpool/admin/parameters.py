"""Rows of SHOW STARTUP_PARAMETERS and SHOW LOG_LEVEL: what the configuration comes to.

Columns are PgDoorman's. `source` is the outermost section that has the value, or `auth_query` for
what it has found of a user: the workers remember that. `state` is always `applied`: what PostgreSQL
refuses fails the login of the server, and its client is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from greenpool.admin.question import Told
from greenpool.admin.result import Row
from greenpool.admin.view import View
from greenpool.config import Config, Kind, Member, members
from greenpool.protocol.backend import Column

PARAMETERS_COLUMNS = (
    Column("user"),
    Column("database"),
    Column("parameter"),
    Column("value"),
    Column("source"),
    Column("state"),
)
LOG_LEVEL_COLUMNS = (Column("log_level"),)

# Their connections are greenpool's own, or none at all.
_OWN = frozenset((Kind.LOOKUP, Kind.HEIR))


def parameters_rows(view: View, told: Sequence[Told]) -> Iterable[Row]:
    """Make a row for each parameter that a pool's servers, or a user who was found, begin with."""
    found = ((row.database, row.user) for row in view.segment.pool_rows())
    for member in members(view.config, found):
        if member.kind in _OWN:
            continue
        database, user = member.key
        for name, value in member.user.startup_parameters:
            yield user, database, name, value, _source(view.config, member, name, value), "applied"
    for each in sorted(set(map(tuple, told)), key=str):  # several workers remember the same
        yield each[1], each[0], *each[2:], "auth_query", "applied"


def log_level_rows(view: View) -> Iterable[Row]:
    """Tell the level in force, whether the file, a reload or SET has brought it."""
    yield (view.config.general.log_level.value,)


def _source(config: Config, member: Member, name: str, value: str) -> str:
    if (name, value) in config.general.startup_parameters:
        return "general"
    return "pool" if (name, value) in member.pool.startup_parameters else "user"
