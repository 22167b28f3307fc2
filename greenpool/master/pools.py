"""From the configuration to the pools of the shared segment. Runs in master."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from greenpool.config import (
    TEMPLATE,
    Config,
    Kind,
    Member,
    Pool,
    PoolKey,
    User,
    guest_member,
    members,
)
from greenpool.errors import EngineError
from greenpool.records import DatabaseSettings, PoolMode, PoolSettings, SessionHandling, TimeKind
from greenpool.rows import DatabaseRow, PoolRow, Times, WorkerRow

if TYPE_CHECKING:  # the observer's code is loaded where there is one
    from greenpool.observe.scene import Chronicle

Pools = dict[PoolKey, int]  # to the index in the segment
PoolMark = tuple[str, str, str]  # database, user, and what tells its servers from those of others

# The admin can log in when everyone else is refused: rows kept beyond max_connections.
ADMIN_CLIENTS = 8
# Entries for pools that a reload may add cost no memory until they are used.
_POOLS_MIN = 64
_POOLS_HEADROOM = 4
# Generations that may be there at a time: this one, its successor, and two whose last clients stay.
_PLACES_HEADROOM = 4
_PLACES_MIN = 16
_PLACES_MAX = 64  # GP_WORKERS_MAX: a set of workers is one machine word
# Places for pools that logins make (auth_query, "*"); one that has been left is the next one's.
FOUND_POOLS = 4096
# Their servers at a time, as far as open files are concerned: PostgreSQL rarely has more in all.
_FOUND_SERVERS = 1024
# Places for logins in flight in the segment (GP_CREATES_MAX); a pool asking for more gets these.
_CREATES_MAX = 64
_MS_MAX = (1 << 32) - 1
# What max_db_connections does not count: the question about a user must not wait for those whom it
# lets in, and that of the template is no database's.
_UNCOUNTED = (Kind.LOOKUP, Kind.HEIR)


class Segment(Protocol):
    """What the master needs of the shared segment; `greenpool.segment.Segment` is the real one."""

    workers: int
    clients_max: int
    is_fresh: bool

    @property
    def chronicle(self) -> Chronicle: ...
    def limits(self, clients_limit: int, max_creates: int) -> None: ...
    def bound_memory(self, limit_bytes: int) -> None: ...
    def define_pool(self, database: str, user: str, settings: PoolSettings) -> int: ...
    def define_database(self, name: str, settings: DatabaseSettings) -> int: ...
    def database_rows(self) -> list[DatabaseRow]: ...
    def remove_pool(self, index: int) -> None: ...
    def vacate_pool(self, index: int, heir: int) -> None: ...
    def renew_pool(self, index: int) -> None: ...
    def accept(self, worker: int, wanted: bool) -> None: ...
    def reclaim(self, worker: int) -> None: ...
    def pool_row(self, index: int) -> PoolRow | None: ...
    def pool_rows(self) -> list[PoolRow]: ...
    def worker_rows(self) -> list[WorkerRow]: ...
    def pump_pids(self) -> list[int]: ...
    def times(
        self, kind: TimeKind, pool: int | None = None, worker: int | None = None
    ) -> Times: ...
    def fds(self) -> list[int]: ...
    def close(self) -> None: ...


def places_for(workers: int) -> int:
    """Return for how many workers the segment shall have places, those of later generations too."""
    return min(_PLACES_MAX, max(_PLACES_MIN, _PLACES_HEADROOM * workers))


def pools_max(config: Config) -> int:
    """Return how many pools the segment shall have room for."""
    configured = max(_POOLS_MIN, _POOLS_HEADROOM * sum(1 for _ in members(config)))
    return configured + (FOUND_POOLS if _has_guests(config) else 0)


def clients_max(config: Config) -> int:
    """Return how many client rows the segment shall have: auth_query asks as a client, too."""
    lookups = sum(each.user.pool_size for each in members(config) if each.kind is Kind.LOOKUP)
    asking = lookups * config.general.workers
    return config.general.max_connections + ADMIN_CLIENTS + asking


def server_count(config: Config) -> int:
    """Return how many server connections there may be in all."""
    configured = sum(member.user.pool_size for member in members(config))
    return configured + (_FOUND_SERVERS if _has_guests(config) else 0)


def apply(segment: Segment, config: Config, found: Iterable[PoolKey] = ()) -> Pools:
    """Define every pool of `config` and the limits; what is not in it stays as it is.

    `found` are pools that logins have made: those that could be made again go on.

    Raises: EngineError when the segment has no room for them; some are then defined.
    """
    _limit(segment, config)
    segment.bound_memory(config.general.max_memory_usage_bytes)
    places: dict[str, int] = {}
    return {member.key: define(segment, member, places) for member in members(config, found)}


def define(segment: Segment, member: Member, places: dict[str, int] | None = None) -> int:
    """Define one pool, return its index. Raises: EngineError when there is no room for it.

    `places` are those of databases whose settings are in force already: all that are there, unless
    given. It grows.
    """
    place = 0
    if member.kind not in _UNCOUNTED:
        name, places = member.pool.name, _places(segment) if places is None else places
        if name not in places:
            places[name] = segment.define_database(name, database_settings_of(member.pool)) + 1
        place = places[name]
    return segment.define_pool(*member.key, settings_of(member.pool, member.user, place))


def change(
    segment: Segment, old: Config, old_pools: Pools, new: Config, found: Iterable[PoolKey] = ()
) -> Pools:
    """Define the pools of `new` in place of `old`'s, those of `found` users too, or nothing at all.

    Pools that only `old` has stay: the caller removes them when no worker needs them any more.
    Raises: EngineError; everything is then as before.
    """
    try:
        return apply(segment, new, found)
    except EngineError:
        apply(segment, old, found)
        remove_strangers(segment, old_pools)
        raise


def remove_strangers(segment: Segment, pools: Pools) -> None:
    """Take all pools but these out of use."""
    for index in strangers(segment, pools):
        segment.remove_pool(index)


def strangers(segment: Segment, pools: Pools) -> list[int]:
    """Return the pools of the segment that are not among `pools`."""
    return [row.index for row in segment.pool_rows() if (row.database, row.user) not in pools]


def adopt(segment: Segment, config: Config) -> Pools:
    """Find the pools of `config` in the segment as they are; define only those that are new.

    In one that is fresh all are new, but their databases, and what else is common, are not. So
    nothing has changed for whoever else serves them. Raises: EngineError: no room for all.
    """
    there = {(row.database, row.user): row.index for row in segment.pool_rows()}
    if segment.is_fresh:
        _limit(segment, config)
        there = {}
    places = _places(segment)
    pools: Pools = {}
    for member in members(config):
        index = there.get(member.key)
        pools[member.key] = define(segment, member, places) if index is None else index
    return pools


def found(segment: Segment, config: Config) -> set[PoolKey]:
    """Name the pools of the segment that logins have made: of found users, of the template."""
    names = ((row.database, row.user) for row in segment.pool_rows())
    return {name for name in names if guest_member(config, *name) is not None}


def marks(config: Config, secret: bytes, found: Iterable[PoolKey] = ()) -> tuple[PoolMark, ...]:
    """Return for each pool a keyed hash of what its servers are made from."""
    return tuple(
        (*member.key, _mark(_identity(member.pool, member.user), secret))
        for member in members(config, found)
    )


def _mark(identity: tuple[object, ...], secret: bytes) -> str:
    words = repr(identity).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(words, key=secret, digest_size=16).hexdigest()


def to_renew(old: Config, new: Config, found: Iterable[PoolKey] = ()) -> list[PoolKey]:
    """Name the pools whose servers were opened by what is no longer true."""
    before = {each.key: _identity(each.pool, each.user) for each in members(old, found)}
    after = {each.key: _identity(each.pool, each.user) for each in members(new, found)}
    return [name for name in after if name in before and before[name] != after[name]]


def database_settings_of(pool: Pool) -> DatabaseSettings:
    return DatabaseSettings(
        max=pool.max_db_connections,
        reserve=pool.reserve_pool_size,
        reserve_timeout_ms=_ms(pool.reserve_pool_timeout_ms),
        guarantee=pool.min_guaranteed_pool_size,
        min_lifetime_ms=_ms(pool.min_connection_lifetime_ms),
    )


def settings_of(pool: Pool, user: User, database_place: int) -> PoolSettings:
    return PoolSettings(
        mode=PoolMode[user.pool_mode.name],
        size=user.pool_size,
        min_size=user.min_pool_size,
        max_creates=min(pool.scaling_max_parallel_creates, _CREATES_MAX),
        wait_timeout_ms=_ms(pool.query_wait_timeout_ms),
        idle_timeout_ms=_ms(pool.idle_timeout_ms),
        idle_transaction_timeout_ms=_ms(pool.idle_transaction_timeout_ms),
        client_idle_timeout_ms=_ms(pool.client_idle_timeout_ms),
        session_state=SessionHandling[pool.session_state.name],
        deferred_begin=pool.deferred_begin,
        statements_max=_statements_max(pool),
        wait_notify_ms=_ms(pool.query_wait_notify_ms),
        transaction_timeout_ms=_ms(pool.transaction_timeout_ms),
        query_timeout_ms=_ms(user.query_timeout_ms),
        copy_timeout_ms=_ms(pool.proxy_copy_data_timeout_ms),
        cancel_wait_timeout_ms=_ms(pool.cancel_wait_timeout_ms),
        round_robin=pool.server_round_robin,
        idle_check_ms=_ms(pool.server_idle_check_timeout_ms),
        connect_timeout_ms=_ms(pool.connect_timeout_ms),
        client_write_timeout_ms=_ms(pool.client_write_timeout_ms),
        warm_ratio=pool.scaling_warm_pool_ratio,
        fast_retries=pool.scaling_fast_retries,
        server_tag=_server_tag(pool),
        database_place=database_place,
        reserve_size=user.reserve_pool_size,
        retain_time_ms=_ms(pool.retain_connections_time_ms),
        retain_max=pool.retain_connections_max,
        log_parameters=pool.log_client_parameter_status_changes,
    )


def _limit(segment: Segment, config: Config) -> None:
    general = config.general
    segment.limits(
        min(general.max_connections, segment.clients_max - ADMIN_CLIENTS),
        min(general.max_concurrent_creates, _CREATES_MAX),
    )


def _places(segment: Segment) -> dict[str, int]:
    """Return the place of each database that is there."""
    return {row.name: row.index + 1 for row in segment.database_rows()}


def _has_guests(config: Config) -> bool:
    """Say whether there may be pools that no configuration names."""
    if TEMPLATE in config.pools:
        return True
    lookups = (member.pool for member in members(config) if member.kind is Kind.LOOKUP)
    return any(pool.auth_query and pool.auth_query.server_user is None for pool in lookups)


def _ms(timeout_ms: int) -> int:
    """Fit a time-out into the segment's 32 bits: whatever is longer than 49 days lasts as long."""
    return min(timeout_ms, _MS_MAX)


def _statements_max(pool: Pool) -> int:
    if not pool.prepared_statements:
        return 0
    own = pool.server_prepared_statements_cache_size
    return pool.prepared_statements_cache_size if own is None else own


def _server_tag(pool: Pool) -> int:
    """Return what pools at the same server have in common: the same in all generations."""
    address = (pool.server_host, pool.server_hosts, pool.server_port)
    return int.from_bytes(hashlib.blake2b(repr(address).encode(), digest_size=8).digest())


def _identity(pool: Pool, user: User) -> tuple[object, ...]:
    """Return all that a server connection is made from: another value takes another connection."""
    has_own_password = user.server_password is not None or bool(user.server_password_command)
    return (
        (pool.server_host, pool.server_hosts, pool.server_port, pool.server_database),
        (pool.server_tls_mode, pool.server_tls_ca_cert),
        (pool.server_tls_certificate, pool.server_tls_private_key),
        (pool.application_name, pool.startup_parameters, user.startup_parameters),
        (user.server_username, user.server_password, None if has_own_password else user.password),
        (user.server_password_command,),
    )
