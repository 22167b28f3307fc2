"""Rows about pools and what they are configured from: POOLS, DATABASES, USERS, LISTS.

Columns stand in PgBouncer's order (1.25) with its types; ours follow. What greenpool has no notion
of (peers, a DNS cache, servers under test) is 0 or NULL, so that PgBouncer's tools keep working.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from greenpool.admin.result import Row
from greenpool.admin.view import View
from greenpool.config import LOOKUP_USER, Kind, Member, Pool, members, pool_of
from greenpool.protocol.backend import INT4, INT8, Column
from greenpool.records import Hold, Refusal
from greenpool.rows import PoolRow

POOLS_COLUMNS = (
    Column("database"),
    Column("user"),
    Column("cl_active", INT4),
    Column("cl_waiting", INT4),
    Column("cl_active_cancel_req", INT4),
    Column("cl_waiting_cancel_req", INT4),
    Column("sv_active", INT4),
    Column("sv_active_cancel", INT4),
    Column("sv_being_canceled", INT4),
    Column("sv_idle", INT4),
    Column("sv_used", INT4),
    Column("sv_tested", INT4),
    Column("sv_login", INT4),
    Column("maxwait", INT4),
    Column("maxwait_us", INT4),
    Column("pool_mode"),
    Column("load_balance_hosts"),
    # ours
    Column("cl_idle", INT8),
    Column("sv_closing", INT8),
    Column("pool_size", INT8),
    Column("min_pool_size", INT8),
    Column("paused", INT4),
    Column("disabled", INT4),
)

DATABASES_COLUMNS = (
    Column("name"),
    Column("host"),
    Column("port", INT4),
    Column("database"),
    Column("force_user"),
    Column("pool_size", INT4),
    Column("min_pool_size", INT4),
    Column("reserve_pool_size", INT4),
    Column("server_lifetime", INT4),
    Column("pool_mode"),
    Column("load_balance_hosts"),
    Column("max_connections", INT4),
    Column("current_connections", INT4),
    Column("max_client_connections", INT4),
    Column("current_client_connections", INT4),
    Column("paused", INT4),
    Column("disabled", INT4),
    Column("reserve_pool", INT4),  # what PgBouncer called reserve_pool_size before 1.23
)

USERS_COLUMNS = (
    Column("name"),
    Column("pool_size"),
    Column("reserve_pool_size"),
    Column("pool_mode"),
    Column("max_user_connections", INT4),
    Column("current_connections", INT4),
    Column("max_user_client_connections", INT4),
    Column("current_client_connections", INT4),
)

STATE_COLUMNS = (Column("key"), Column("value"))

LISTS_COLUMNS = (Column("list"), Column("items", INT4))


def pools_rows(view: View) -> Iterable[Row]:
    """Make a row for each (database, user). `cl_active` counts idle clients, as PgBouncer's."""
    for row in view.segment.pool_rows():
        maxwait_s, rest_ns = divmod(row.maxwait_ns, 1_000_000_000)
        yield (
            row.database,
            row.user,
            row.cl_active + row.cl_idle,
            row.cl_waiting,
            0,  # a CancelRequest is no client of the pool ...
            0,
            row.sv_active,
            0,  # ... and the connection that carries it is no server of it
            row.sv_canceled,
            row.sv_idle,
            0,
            0,
            row.sv_login,
            maxwait_s,
            rest_ns // 1000,
            row.settings.mode.name.lower(),
            None,
            row.cl_idle,
            row.sv_closing,
            row.settings.size,
            row.settings.min_size,
            _is_held(row, Hold.PAUSED),
            _is_held(row, Hold.DISABLED),
        )


def databases_rows(view: View) -> Iterable[Row]:
    """Make a row for each database; sizes and connections are summed over its users.

    Those of the template are there while they have pools. Whom auth_query has found counts; what it
    asks through does not. It is paused, or disabled, if it is for all of them; POOLS has each.
    """
    rows = view.segment.pool_rows()
    users_of, rows_of = defaultdict(list), defaultdict(list)
    for member in members(view.config, ((row.database, row.user) for row in rows)):
        if member.kind is not Kind.LOOKUP:
            users_of[member.pool.name].append(member.user)
    for row in rows:
        if row.user != LOOKUP_USER:
            rows_of[row.database].append(row)
    for name, pool in _databases(view, rows):
        mine, users = rows_of[name], users_of[name]
        yield (
            name,
            pool.server_host,
            pool.server_port,
            pool.server_database,
            _common({user.server_username for user in users}),
            sum(user.pool_size for user in users),
            sum(user.min_pool_size for user in users),
            pool.reserve_pool_size,
            pool.server_lifetime_ms // 1000,
            pool.pool_mode.value,
            None,
            pool.max_db_connections,
            servers_of(mine),
            view.config.general.max_db_client_connections,
            clients_of(mine),
            min((_is_held(row, Hold.PAUSED) for row in mine), default=0),
            min((_is_held(row, Hold.DISABLED) for row in mine), default=0),
            pool.reserve_pool_size,
        )


def users_rows(view: View) -> Iterable[Row]:
    """Make a row for each user name; NULL where its pools differ from each other."""
    rows = view.segment.pool_rows()
    members_of = _members_by_user(view, rows)
    for name in sorted(members_of):
        users = [each.user for each in members_of[name]]
        mine = [row for row in rows if row.user == name]
        yield (
            name,
            _common({str(user.pool_size) for user in users}),
            _common({str(user.reserve_pool_size) for user in users}),
            _common({user.pool_mode.value for user in users}),
            0,
            servers_of(mine),
            view.config.general.max_user_client_connections,
            clients_of(mine),
        )


def state_rows(view: View) -> Iterable[Row]:
    """Say whether clients are served; paused is what a PAUSE without a name has done."""
    rows = view.segment.pool_rows()
    is_paused = bool(rows) and all(_is_held(row, Hold.PAUSED) for row in rows)
    is_suspended = view.segment.is_suspended()
    yield "active", "no" if is_paused or is_suspended else "yes"
    yield "paused", "yes" if is_paused else "no"
    yield "suspended", "yes" if is_suspended else "no"


def lists_rows(view: View) -> Iterable[Row]:
    """Make one row for each kind of thing.

    `free_` is room left under the limits. `login_clients` are all clients that no pool serves:
    in login, on their way out, or in the admin console. `refused_` are all who were ever not let
    in, and those of them whose address had too many clients or tried too often.
    """
    rows = view.segment.pool_rows()
    workers = view.segment.worker_rows()
    clients = sum(worker.clients for worker in workers if worker.alive)
    servers = servers_of(rows)
    yield "databases", sum(1 for _ in _databases(view, rows))
    yield "users", len(_members_by_user(view, rows))
    yield "peers", 0
    yield "pools", len(rows)
    yield "peer_pools", 0
    yield "free_clients", max(0, view.config.general.max_connections - clients)
    yield "used_clients", clients
    yield "login_clients", max(0, clients - clients_of(rows))
    yield "free_servers", max(0, sum(row.settings.size for row in rows) - servers)
    yield "used_servers", servers
    yield "dns_names", 0
    yield "dns_zones", 0
    yield "dns_queries", 0
    yield "dns_pending", 0
    yield "workers", sum(1 for worker in workers if worker.alive)
    yield "refused_clients", _int4(sum(sum(worker.refusals) for worker in workers))
    yield "refused_addresses", _int4(sum(worker.refusals[Refusal.ADDRESS] for worker in workers))


def _int4(count: int) -> int:
    """Return what of a count that only grows fits its column."""
    return min(count, (1 << 31) - 1)


def servers_of(rows: Iterable[PoolRow]) -> int:
    """Count the server connections of some pools, logins and closing ones included."""
    return sum(
        row.sv_active + row.sv_idle + row.sv_login + row.sv_canceled + row.sv_closing
        for row in rows
    )


def clients_of(rows: Iterable[PoolRow]) -> int:
    """Count the clients that some pools serve."""
    return sum(row.cl_active + row.cl_waiting + row.cl_idle for row in rows)


def _databases(view: View, rows: Iterable[PoolRow]) -> Iterator[tuple[str, Pool]]:
    """Go through the databases that are configured, or have pools of the template."""
    names = {*view.config.pools, *(row.database for row in rows)}
    pools = ((name, pool_of(view.config, name)) for name in sorted(names))
    return ((name, pool) for name, pool in pools if pool is not None)


def _members_by_user(view: View, rows: Iterable[PoolRow]) -> Mapping[str, list[Member]]:
    """Return the pools of each user, of those whom auth_query has found too."""
    found = [(row.database, row.user) for row in rows]
    by_user: dict[str, list[Member]] = {}
    for member in members(view.config, found):
        if member.kind not in (Kind.LOOKUP, Kind.HEIR):
            by_user.setdefault(member.user.username, []).append(member)
    return by_user


def _is_held(row: PoolRow, bit: Hold) -> int:
    return int(row.held & bit != 0)


def _common(values: set[str] | set[str | None]) -> str | None:
    """Return the one value that all have, or None."""
    return next(iter(values)) if len(values) == 1 else None
