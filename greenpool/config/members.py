"""The pools in PostgreSQL's sense, one for each database and user, that a configuration makes.

    users[]                  a pool for each of them
    auth_query               LOOKUP: its own connections, on which it is asked about users
      with server_user       SHARED: the pool of all whom it finds
      without                FOUND: a pool for each whom it finds, made at the first login
    "*"                      HEIR: no connections, but what its pools that are gone have counted
      users[]                TEMPLATE: a pool for each database that one asks for, likewise
      auth_query             LOOKUP for all these databases; SHARED and FOUND for each, likewise

Law: what is opened for `auth_query` is a pool like any other, so that limits, timeouts, TLS and
outages mean the same for it. No client can ask for a LOOKUP pool: its user's name is reserved; nor
for the HEIR: no database is called "*". What the first login makes is a guest (`guest_member`): it
is known by its name, and goes when it is unused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TypeAlias

from greenpool.config.choices import PoolMode, SessionState
from greenpool.config.frozen_map import FrozenMap
from greenpool.config.model import TEMPLATE, AuthQuery, Config, Pool, User

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
    TEMPLATE = auto()
    HEIR = auto()


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


def members(config: Config, guests: Iterable[PoolKey] = ()) -> Iterator[Member]:
    """Go through all pools of a configuration, and through those that logins have made.

    Guests that this configuration would not make are left out.
    """
    for pool in config.pools.values():
        is_template = pool.name == TEMPLATE
        if is_template:
            yield Member(Kind.HEIR, pool, _user(pool, TEMPLATE, 1, 0))
        else:
            yield from (Member(Kind.USER, pool, user) for user in pool.users.values())
        if pool.auth_query is not None:
            yield _lookup(pool, pool.auth_query)
            if pool.auth_query.server_user is not None and not is_template:
                yield _shared(pool, pool.auth_query, pool.auth_query.server_user)
    for database, username in guests:
        member = guest_member(config, database, username)
        if member is not None:
            yield member


def pool_of(config: Config, database: str) -> Pool | None:
    """Return the pool of a database: its own, or what the template makes of its name."""
    if database == TEMPLATE:
        return None
    pool, template = config.pools.get(database), config.pools.get(TEMPLATE)
    if pool is not None or template is None:
        return pool
    is_same = template.server_database == TEMPLATE
    server_database = database if is_same else template.server_database
    return replace(template, name=database, server_database=server_database)


def guest_member(config: Config, database: str, username: str) -> Member | None:
    """Return the pool of this name that a login makes; None: none does."""
    pool, is_template = pool_of(config, database), database not in config.pools
    if pool is None or username == LOOKUP_USER:
        return None
    if username in pool.users:
        return Member(Kind.TEMPLATE, pool, pool.users[username]) if is_template else None
    if pool.auth_query is None:
        return None
    if pool.auth_query.server_user is not None:
        is_shared = is_template and username == pool.auth_query.server_user
        return _shared(pool, pool.auth_query, username) if is_shared else None
    sizes = pool.auth_query
    user = _user(pool, username, sizes.found_pool_size, sizes.min_pool_size)
    return Member(Kind.FOUND, pool, user)


def home_of(config: Config, database: str, username: str) -> PoolKey | None:
    """Name the pool of a user for whom none is configured; None: there is none (any more)."""
    pool = pool_of(config, database)
    if pool is None:
        return None
    if username in pool.users:
        return (database, username) if database not in config.pools else None
    if pool.auth_query is None:
        return None
    return database, pool.auth_query.server_user or username


def lookup_of(config: Config, database: str) -> PoolKey:
    """Name the pool that asks about users of a database, if there is one."""
    return database if database in config.pools else TEMPLATE, LOOKUP_USER


def heir_of(config: Config, database: str) -> PoolKey:
    """Name the pool that counts on for guests of a database that are gone."""
    return (database, LOOKUP_USER) if database in config.pools else (TEMPLATE, TEMPLATE)


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
        server_password_command=(),
        server_password_ttl_ms=0,
        auth_pam_service=None,
        auth_ldap=None,
        server_lifetime_ms=pool.server_lifetime_ms,
        query_timeout_ms=pool.query_timeout_ms,
        startup_parameters=pool.startup_parameters,
        pool_mode=pool.pool_mode,
        reserve_pool_size=pool.reserve_pool_size,
    )
