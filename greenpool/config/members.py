"""The pools in PostgreSQL's sense, one for each database and user, that a configuration makes.

    users[]                  a pool for each of them
    auth_query               LOOKUP: its own connections, on which it is asked about users
      with server_user       SHARED: the pool of all whom it finds
      without                FOUND: a pool for each whom it finds, made at the first login

Law: what is opened for `auth_query` is a pool like any other, so that limits, timeouts, TLS and
outages mean the same for it. No client can ask for a LOOKUP pool: its user's name is reserved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TypeAlias

from greenpool.config.choices import PoolMode, SessionState
from greenpool.config.frozen_map import FrozenMap
from greenpool.config.model import AuthQuery, Config, Pool, User

LOOKUP_USER = "(auth_query)"
"""In place of a user, the name of a pool's connections for auth_query."""

PoolKey: TypeAlias = "tuple[str, str]"
"""A pool's name: (database, user)."""


class Kind(Enum):
    """Why there is a pool."""

    USER = auto()
    LOOKUP = auto()
    SHARED = auto()
    FOUND = auto()


@dataclass(frozen=True, slots=True)
class Member:
    """One pool: `pool` and `user` say how its servers are opened and what its clients may."""

    kind: Kind
    pool: Pool
    user: User

    @property
    def key(self) -> PoolKey:
        """The pool's name."""
        return self.pool.name, self.user.username


def members(config: Config, found: Iterable[PoolKey] = ()) -> Iterator[Member]:
    """Go through all pools of a configuration, and through those of users who were `found`.

    Whoever cannot be found by this configuration is left out.
    """
    for pool in config.pools.values():
        for user in pool.users.values():
            yield Member(Kind.USER, pool, user)
        if pool.auth_query is not None:
            yield _lookup(pool, pool.auth_query)
            if pool.auth_query.server_user is not None:
                yield _shared(pool, pool.auth_query, pool.auth_query.server_user)
    for database, username in found:
        member = found_member(config, database, username)
        if member is not None:
            yield member


def found_member(config: Config, database: str, username: str) -> Member | None:
    """Return the pool of one user whom auth_query finds; None: it would get no pool of its own."""
    pool = config.pools.get(database)
    if pool is None or pool.auth_query is None or pool.auth_query.server_user is not None:
        return None
    if username in pool.users or username == LOOKUP_USER:
        return None
    sizes = pool.auth_query
    user = _user(pool, username, sizes.found_pool_size, sizes.min_pool_size)
    return Member(Kind.FOUND, pool, user)


def _lookup(pool: Pool, auth_query: AuthQuery) -> Member:
    """Return the pool that asks. Nothing that was meant for clients holds there."""
    server = replace(
        pool,
        users=FrozenMap({}),
        server_database=auth_query.database,
        pool_mode=PoolMode.TRANSACTION,
        session_state=SessionState.OFF,
        idle_transaction_timeout_ms=0,
        client_idle_timeout_ms=0,
        startup_parameters=(),
        application_name=pool.application_name or "greenpool",
        pooler_check_query="",
    )
    user = _user(server, LOOKUP_USER, auth_query.workers, 0)
    return Member(
        Kind.LOOKUP,
        server,
        replace(user, server_username=auth_query.user, server_password=auth_query.password),
    )


def _shared(pool: Pool, auth_query: AuthQuery, username: str) -> Member:
    user = _user(pool, username, auth_query.found_pool_size, auth_query.min_pool_size)
    return Member(
        Kind.SHARED,
        pool,
        replace(user, server_username=username, server_password=auth_query.server_password),
    )


def _user(pool: Pool, username: str, size: int, min_size: int) -> User:
    """Return a user of whom nothing is said but the sizes: the rest is the pool's."""
    return User(
        username=username,
        password=None,
        pool_size=size,
        min_pool_size=min_size,
        max_client_connections=0,
        server_username=None,
        server_password=None,
        auth_pam_service=None,
        auth_ldap=None,
        server_lifetime_ms=pool.server_lifetime_ms,
        query_timeout_ms=pool.query_timeout_ms,
        startup_parameters=pool.startup_parameters,
        pool_mode=pool.pool_mode,
        reserve_pool_size=pool.reserve_pool_size,
    )
