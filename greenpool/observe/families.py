"""The table of metric families. A family is a row here; all else follows: what a scrape says,
docs/metrics.md, and the tests.

Law: names begin with `greenpool_` and end in the base unit, counters in `_total`. A series that can
be there is there from the start, with 0, so that its first event is seen as a rise. What was
counted in a pool that a reload has removed is out of sight until that pool is back.
Partner: `scene.py`, which is what rows are made from; `collector.py`, which makes the text.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable

import greenpool
from greenpool.observe.certificates import Certificate
from greenpool.observe.events import GENERATION_RETURNED, KEPT, UPGRADE_FAILED, UPGRADED
from greenpool.observe.family import Family, Kind, Samples, Subject
from greenpool.observe.lookups import LookupRow
from greenpool.observe.processes import ProcessRow
from greenpool.observe.scene import Scene
from greenpool.observe.times import NS_PER_S, Rungs
from greenpool.records import (
    EngineIo,
    ErrorClass,
    Haste,
    Hold,
    MemoryKind,
    Pin,
    Reason,
    Refusal,
    TimeKind,
    Visit,
)
from greenpool.rows import DatabaseRow, PoolRow, WorkerRow
from greenpool.tallies import Tally

HOUSE: Subject[Scene] = Subject((), lambda scene: [scene], lambda _: ())
POOLS: Subject[PoolRow] = Subject(
    ("database", "user"), lambda scene: scene.pools, lambda row: (row.database, row.user)
)
DATABASES: Subject[DatabaseRow] = Subject(
    ("database",),
    lambda scene: (row for row in scene.databases if row.max),
    lambda row: (row.name,),
)
"""Those that have a limit."""
LOOKUPS: Subject[LookupRow] = Subject(
    ("database",), lambda scene: scene.lookups, lambda row: (row.database,)
)
"""The pools that have an auth_query."""
WORKERS: Subject[WorkerRow] = Subject(
    ("worker",), lambda scene: scene.workers, lambda row: (str(row.index),)
)
PROCESSES: Subject[ProcessRow] = Subject(
    ("process", "worker"), lambda scene: scene.processes, lambda row: (row.role, row.worker)
)
CERTIFICATES: Subject[Certificate] = Subject(
    ("use", "database", "path", "subject", "serial"),
    lambda scene: scene.certificates,
    lambda row: (row.use.value, row.database, row.path, row.subject, row.serial),
)

# Those that an end of each side can have; the others are never counted there.
CLIENT_REASONS = (
    *(Reason.CLIENT_TERMINATE, Reason.CLIENT_EOF, Reason.CLIENT_IO, Reason.CLIENT_PROTOCOL),
    *(Reason.SERVER_EOF, Reason.SERVER_IO, Reason.SERVER_PROTOCOL, Reason.SERVER_FATAL),
    *(Reason.CLIENT_IDLE, Reason.IDLE_TRANSACTION, Reason.SHUTDOWN, Reason.KILLED),
    *(Reason.LOGIN_FAILED, Reason.MODE, Reason.MEMORY),
    *(Reason.TRANSACTION_TIMEOUT, Reason.QUERY_TIMEOUT, Reason.COPY_TIMEOUT),
    Reason.WRITE_TIMEOUT,
)
SERVER_REASONS = (
    *(Reason.SERVER_EOF, Reason.SERVER_IO, Reason.SERVER_PROTOCOL, Reason.SERVER_FATAL),
    *(Reason.SHUTDOWN, Reason.UNCLEAN, Reason.IDLE_TIMEOUT, Reason.LIFETIME, Reason.STALE),
    *(Reason.REAPED, Reason.CANCEL_STUCK, Reason.MEMORY, Reason.YIELDED),
    Reason.DATABASE_LIMIT,
)


def _client_states(row: PoolRow) -> dict[str, int]:
    return {"active": row.cl_active, "idle": row.cl_idle, "waiting": row.cl_waiting}


def _server_states(row: PoolRow) -> dict[str, int]:
    return {
        "active": row.sv_active,
        "idle": row.sv_idle,
        "login": row.sv_login,
        "being_canceled": row.sv_canceled,
        "closing": row.sv_closing,
    }


def _sources(row: PoolRow) -> dict[str, int]:
    return {"own": row.taken_own, "other": row.taken_other, "wait": row.wait_count}


def _gate_waits(row: PoolRow) -> dict[str, int]:
    return {"haste": row.gate_waits, "patience": row.gate_overdue, "fill": row.fills_deferred}


def _pins(counts: Iterable[int]) -> dict[str, int]:
    return {_word(pin): count for pin, count in zip(Pin, counts, strict=True)}


def _remembered(row: LookupRow) -> dict[str, int]:
    unknown = row.counts[Tally.CACHE_UNKNOWN]
    return {"found": row.counts[Tally.CACHE_ENTRIES] - unknown, "unknown": unknown}


def _lookups(row: LookupRow) -> dict[str, int]:
    counts = row.counts
    return {
        "hit": counts[Tally.CACHE_HITS],
        "miss": counts[Tally.CACHE_MISSES],
        "refetch": counts[Tally.CACHE_REFETCHES],
    }


def _prepared(row: PoolRow) -> dict[str, int]:
    return {"named": row.prepared_named, "unnamed": row.prepared_unnamed}


def _word(member: Haste | MemoryKind | Pin | Reason | Refusal | Visit) -> str:
    return str(member.name).lower()


def _connected(scene: Scene) -> int:
    return sum(row.clients for row in scene.workers if row.alive)


def _unpooled(scene: Scene) -> int:
    pooled = sum(sum(_client_states(row).values()) for row in scene.pools)
    return max(0, _connected(scene) - pooled)


def _refusals(row: WorkerRow) -> dict[str, int]:
    return dict(zip(map(_word, Refusal), row.refusals, strict=True))


def _memory(row: WorkerRow) -> dict[str, int]:
    held = row.memory_bytes if row.alive else (0,) * len(MemoryKind)
    return dict(zip(map(_word, MemoryKind), held, strict=True))


def _visits(row: WorkerRow) -> dict[str, int]:
    kinds = (Visit.TLS, Visit.PLAIN, Visit.CANCEL, Visit.IN_VAIN)
    return {_word(visit): row.visits[visit] for visit in kinds}


def _events(scene: Scene) -> dict[str, int]:
    return {event.name: scene.happened[number] for number, event in KEPT.items()}


def _upgrades(scene: Scene) -> dict[str, int]:
    ends = {"done": UPGRADED, "failed": UPGRADE_FAILED, "undone": GENERATION_RETURNED}
    return {
        result: scene.happened[event.kept]
        for result, event in ends.items()
        if event.kept is not None
    }


def _settings(row: PoolRow) -> tuple[str, str]:
    return row.settings.mode.name.lower(), row.settings.session_state.name.lower()


def _pool_times(kind: TimeKind) -> Callable[[PoolRow, Scene], Rungs]:
    return lambda row, scene: scene.pool_times[kind, row.index]


def _worker_times(kind: TimeKind) -> Callable[[WorkerRow, Scene], Rungs]:
    return lambda row, scene: scene.worker_times[kind, row.index]


def _percentiles(kind: TimeKind) -> Callable[[Scene], Samples]:
    return lambda scene: (
        ((row.database, row.user, str(percentile)), seconds)
        for row in scene.pools
        for percentile, seconds in scene.percentiles_s[kind, row.index].items()
    )


def _age_s(row: WorkerRow, scene: Scene) -> float:
    return max(0, scene.now_ns - row.beat_ns) / NS_PER_S if row.alive else 0.0


G, C, H = Kind.GAUGE, Kind.COUNTER, Kind.HISTOGRAM

# fmt: off
FAMILIES: tuple[Family, ...] = (
    # --- greenpool itself -----------------------------------------------------------------------
    HOUSE.info("greenpool_build_info", "Always 1; the labels tell what runs.",
        ("version", "python"), lambda _: (greenpool.__version__, platform.python_version())),
    HOUSE.family("greenpool_start_time_seconds", G, "When greenpool was started, in Unix time; "
        "upgrades do not change it.", lambda s: s.news.started_s),
    HOUSE.family("greenpool_draining", G, "1 while greenpool is being stopped and transactions "
        "may end.", lambda s: s.news.is_draining),
    HOUSE.info("greenpool_log_level_info", "Always 1; the label tells how much is logged.",
        ("level",), lambda s: (s.news.config.general.log_level.value,)),
    HOUSE.family("greenpool_config_last_reload_successful", G, "1 if the configuration could be "
        "loaded the last time it was asked for; 0: the one before is still in force.",
        lambda s: s.news.last_reload.is_ok),
    HOUSE.family("greenpool_config_last_reload_timestamp_seconds", G, "When the configuration was "
        "last asked for, with success or not, in Unix time; a start counts.",
        lambda s: s.news.last_reload.at_s),
    # --- processes ------------------------------------------------------------------------------
    WORKERS.family("greenpool_worker_up", G, "1 while a process has this worker's place.",
        lambda row: row.alive),
    WORKERS.family("greenpool_worker_restarts_total", C, "Processes that took this place after "
        "its first.", lambda row: max(0, row.births - 1)),
    WORKERS.family("greenpool_worker_clients", G, "Clients of this worker, those in login "
        "included.", lambda row: row.clients if row.alive else 0),
    WORKERS.family("greenpool_worker_busy_ratio", G, "Share of a core that this worker has used "
        "lately.", lambda row: row.busy_permille / 1000 if row.alive else 0),
    WORKERS.parts("greenpool_worker_client_moves_total", C, "Clients that came from other workers "
        "(in), or went to them (out).", "direction",
        lambda row: {"in": row.moved_in, "out": row.moved_out}),
    WORKERS.family("greenpool_worker_still", G, "1 while SUSPEND keeps this worker from reading, "
        "and nothing is unsent.", lambda row: row.still if row.alive else 0),
    WORKERS.seen("greenpool_worker_heartbeat_age_seconds", G, "Time since this worker's loop was "
        "last seen alive; ten times a second when all is well.", _age_s),
    WORKERS.info("greenpool_worker_io_backend_info", "Always 1; the label tells what this worker "
        "waits for its sockets with.", ("io_backend",),
        lambda row: (str(EngineIo(row.io_backend)),)),
    PROCESSES.family("greenpool_process_cpu_seconds_total", C, "Processor time that a process has "
        "used; process is master, worker, observer, or pump, which keeps TLS sessions of clients "
        "over upgrades: its pid stands as worker.", lambda row: row.cpu_s),
    PROCESSES.family("greenpool_process_resident_memory_bytes", G, "Resident memory of a process; "
        "what processes share counts in each of them.", lambda row: row.resident_bytes),
    PROCESSES.family("greenpool_process_open_fds", G, "Open descriptors of a process.",
        lambda row: row.open_files),
    # --- memory ---------------------------------------------------------------------------------
    WORKERS.parts("greenpool_memory_bytes", G, "What clients and servers make a worker "
        "hold, by kind: unsent, incomplete or waiting bytes (buffers), texts and names of "
        "prepared statements (statements), what sessions have been set to (states).",
        "kind", _memory),
    HOUSE.family("greenpool_memory_limit_bytes", G, "max_memory_usage, which bounds the sum; 0: "
        "no limit.", lambda s: s.news.config.general.max_memory_usage_bytes),
    WORKERS.family("greenpool_memory_refusals_total", C, "Times that a client or server needed "
        "memory which max_memory_usage did not leave it.", lambda row: row.memory_refusals),
    POOLS.family("greenpool_pool_buffer_bytes", G, "Buffers held for a pool's clients and their "
        "servers, half a second ago at most.", lambda row: row.buffer_bytes),
    POOLS.parts("greenpool_client_prepared_statements", G, "Statements that a pool's clients have "
        "prepared, with a name of theirs (named) or without (unnamed).", "kind", _prepared),
    POOLS.family("greenpool_client_prepared_bytes", G, "Texts and names of these, each counted "
        "for every client that has it.", lambda row: row.prepared_bytes),
    WORKERS.family("greenpool_worker_statements", G, "Texts of prepared statements that this "
        "worker keeps, once each.", lambda row: row.statements if row.alive else 0),
    WORKERS.family("greenpool_worker_statements_idle", G, "Of those, the ones that nobody needs: "
        "kept for who comes again.", lambda row: row.idle_statements if row.alive else 0),
    # --- what has happened ----------------------------------------------------------------------
    HOUSE.parts("greenpool_events_total", C, "What has happened to the house since its start, "
        "over upgrades: the events that docs/logs.md marks.",
        "event", _events),
    HOUSE.parts("greenpool_upgrades_total", C, "Upgrades since the start, by their end.",
        "result", _upgrades),
    # --- clients --------------------------------------------------------------------------------
    WORKERS.family("greenpool_connections_accepted_total", C, "Connections that were accepted.",
        lambda row: row.visits[Visit.ANY]),
    WORKERS.parts("greenpool_connections_total", C, "The same by what came of them: a "
        "login with TLS (tls) or without (plain), a CancelRequest (cancel), or gone or refused "
        "before a login began (in_vain).", "result", _visits),
    HOUSE.family("greenpool_clients_connected", G, "Clients over all workers, those in login or "
        "in the admin console included.", _connected),
    HOUSE.family("greenpool_clients_unpooled", G, "Of those, the ones that no pool serves: in "
        "login, in the admin console, or on their way out.", _unpooled),
    HOUSE.family("greenpool_clients_max", G, "max_connections.",
        lambda s: s.news.config.general.max_connections),
    HOUSE.family("greenpool_user_clients_max", G, "max_user_client_connections; 0: no limit.",
        lambda s: s.news.config.general.max_user_client_connections),
    HOUSE.family("greenpool_database_clients_max", G, "max_db_client_connections; 0: no limit.",
        lambda s: s.news.config.general.max_db_client_connections),
    HOUSE.family("greenpool_address_clients_max", G, "max_address_client_connections; 0: no "
        "limit.", lambda s: s.news.config.general.max_address_client_connections),
    POOLS.parts("greenpool_clients", G, "Clients of a pool: with a server (active), with nothing "
        "asked (idle), without the server that they need (waiting).", "state", _client_states),
    POOLS.family("greenpool_clients_tls", G, "Clients of a pool that speak TLS.",
        lambda row: row.cl_tls),
    POOLS.family("greenpool_clients_pumped", G, "Clients of a pool whose TLS session has stayed "
        "in the process of a worker before an upgrade.", lambda row: row.cl_pumped),
    POOLS.parts("greenpool_clients_pinned", G, "Clients that keep their server between "
        "transactions, by what they have on it.", "reason", lambda row: _pins(row.cl_pinned)),
    POOLS.parts("greenpool_client_pins_total", C, "Times that a client came to keep its server, "
        "by reason.", "reason", lambda row: _pins(row.pins_of)),
    POOLS.family("greenpool_client_maxwait_seconds", G, "How long the client that has waited "
        "longest has been waiting for a server; 0: nobody waits.",
        lambda row: row.maxwait_ns / NS_PER_S),
    POOLS.family("greenpool_client_wait_timeouts_total", C, "Waits that query_wait_timeout has "
        "ended.", lambda row: row.timeouts),
    POOLS.family("greenpool_client_waits_left_total", C, "Waits that ended without a server: by "
        "query_wait_timeout, a cancel, or because the client left.", lambda row: row.waits_left),
    POOLS.family("greenpool_client_wait_notices_total", C, "Clients that query_wait_notify has "
        "told that they wait.", lambda row: row.wait_notices),
    POOLS.family("greenpool_query_timeouts_total", C, "Queries that query_timeout has cancelled.",
        lambda row: row.query_timeouts),
    POOLS.family("greenpool_client_logins_total", C, "Clients that were let in, greenpool's own "
        "questions (a few for each pool and worker) included.", lambda row: row.client_logins),
    WORKERS.parts("greenpool_client_refusals_total", C, "Clients that were not let in: not "
        "who they say or not wanted (identity), too many (limit), too many of one address or too "
        "often (address), a handshake that failed (tls), client_login_timeout (timeout), or "
        "another reason (other).", "reason", _refusals),
    POOLS.parts("greenpool_client_disconnections_total", C, "Clients that have gone, by reason; "
        "those that a killed worker took along are not counted.",
        "reason", lambda row: {_word(r): row.client_ends[r] for r in CLIENT_REASONS}),
    # --- servers --------------------------------------------------------------------------------
    POOLS.parts("greenpool_servers", G, "Server connections of a pool, by what they do.",
        "state", _server_states),
    POOLS.family("greenpool_servers_tls", G, "Server connections that speak TLS.",
        lambda row: row.sv_tls),
    POOLS.family("greenpool_pool_size", G, "pool_size: server connections that the pool may have.",
        lambda row: row.settings.size),
    POOLS.family("greenpool_pool_min_size", G, "min_pool_size.",
        lambda row: row.settings.min_size),
    POOLS.family("greenpool_pool_paused", G, "1 while PAUSE or KILL holds the pool.",
        lambda row: row.held & Hold.PAUSED != 0),
    POOLS.family("greenpool_pool_disabled", G, "1 while DISABLE keeps clients out.",
        lambda row: row.held & Hold.DISABLED != 0),
    POOLS.info("greenpool_pool_info", "Always 1; the labels tell how the pool works.",
        ("pool_mode", "session_state"), _settings),
    POOLS.family("greenpool_pool_login_failing", G, "1 since a login at PostgreSQL failed, until "
        "one succeeds.", lambda row: row.ailing),
    POOLS.family("greenpool_server_logins_total", C, "Server connections that were opened.",
        lambda row: row.logins),
    POOLS.family("greenpool_server_login_failures_total", C, "Server connections that could not "
        "be opened.", lambda row: row.login_failures),
    POOLS.family("greenpool_server_logins_begun_total", C, "Server connections that a place for "
        "their login was found for.", lambda row: row.creates),
    POOLS.family("greenpool_server_logins_spared_total", C, "Of those, the ones given up at once "
        "because nobody waited any more.", lambda row: row.spared),
    POOLS.family("greenpool_server_logins_overdue_total", C, "Logins that were begun at once for "
        "clients whose patience was over.", lambda row: row.patience_opened),
    POOLS.family("greenpool_server_login_recent_seconds", G, "What a login takes lately, as "
        "greenpool expects it of the next; 0: not known yet.",
        lambda row: row.login_ns / NS_PER_S),
    POOLS.parts("greenpool_pool_gate_waits_total", C, "Times that a login had to wait because as "
        "many as allowed were in flight: a client's that was in haste (haste) or had been patient "
        "(patience), one for min_pool_size (fill).", "cause", _gate_waits),
    POOLS.parts("greenpool_client_hastes_total", C, "Clients that a server was opened for at "
        "once, or as soon as it might, by reason (docs/pools.md).",
        "reason", lambda row: dict(zip(map(_word, Haste), row.hastes, strict=True))),
    POOLS.parts("greenpool_client_patience_total", C, "Clients that waited for a server to come "
        "back before one was opened: one came in time (served), none did (overdue).",
        "outcome", lambda row: {"served": row.patience_met, "overdue": row.patience_lost}),
    POOLS.parts("greenpool_server_disconnections_total", C, "Server connections that were given "
        "up, by reason.",
        "reason", lambda row: {_word(r): row.server_ends[r] for r in SERVER_REASONS}),
    POOLS.parts("greenpool_server_assignments_total", C, "Times that a client got a server: one "
        "of its worker's own (own), one that another worker had (other), at the end of a wait "
        "(wait).", "source", _sources),
    POOLS.family("greenpool_server_handovers_total", C, "Servers that a worker handed to a client "
        "waiting in another.", lambda row: row.handed_away),
    POOLS.family("greenpool_server_handovers_unused_total", C, "Servers that came when nobody "
        "waited any more.", lambda row: row.bounced),
    # --- auth_query: numbers begin anew with an upgrade, as the caches do -----------------------
    LOOKUPS.parts("greenpool_auth_query_cache_entries", G, "Users that the workers remember, each "
        "of them for itself: those that exist (found) and those that do not (unknown).", "answer",
        _remembered),
    LOOKUPS.parts("greenpool_auth_query_cache_lookups_total", C, "Logins of users who are looked "
        "up: by an answer younger than min_interval (hit), by one that PostgreSQL was asked about "
        "once more (refetch), by none (miss).", "result", _lookups),
    LOOKUPS.parts("greenpool_auth_query_logins_total", C, "What became of them.", "result",
        lambda row: {"success": row.counts[Tally.AUTH_SUCCESS],
                     "failure": row.counts[Tally.AUTH_FAILURE]}),
    LOOKUPS.family("greenpool_auth_query_rate_limited_total", C, "Of the failures, those for which "
        "PostgreSQL was not asked again, since min_interval was not over.",
        lambda row: row.counts[Tally.RATE_LIMITED]),
    LOOKUPS.family("greenpool_auth_query_questions_total", C, "Times that PostgreSQL was asked.",
        lambda row: row.counts[Tally.EXECUTOR_QUERIES]),
    LOOKUPS.family("greenpool_auth_query_errors_total", C, "Questions without a usable answer.",
        lambda row: row.counts[Tally.EXECUTOR_ERRORS]),
    LOOKUPS.family("greenpool_auth_query_pools", G, "Pools of users that were found.",
        lambda row: row.found_pools),
    LOOKUPS.family("greenpool_auth_query_pools_created_total", C, "Such pools that were made ...",
        lambda row: row.counts[Tally.POOLS_CREATED]),
    LOOKUPS.family("greenpool_auth_query_pools_destroyed_total", C, "... and that have gone, since "
        "nobody used them.", lambda row: row.counts[Tally.POOLS_DESTROYED]),
    # --- databases with max_db_connections ------------------------------------------------------
    DATABASES.family("greenpool_coordinator_connections_max", G, "max_db_connections of a "
        "database; without one it has none of these.", lambda row: row.max),
    DATABASES.family("greenpool_coordinator_connections", G, "Server connections of all users of "
        "the database, the reserve's included.", lambda row: row.used),
    DATABASES.family("greenpool_coordinator_reserve_max", G, "reserve_pool_size.",
        lambda row: row.reserve),
    DATABASES.family("greenpool_coordinator_reserve_connections", G, "Server connections in the "
        "reserve.", lambda row: row.reserve_used),
    DATABASES.family("greenpool_coordinator_evictions_total", C, "Server connections that were "
        "closed for another user of the database.", lambda row: row.evictions),
    DATABASES.family("greenpool_coordinator_cessions_total", C, "Of those, connections of users "
        "who were never idle.", lambda row: row.cessions),
    DATABASES.family("greenpool_coordinator_reserve_acquisitions_total", C, "Server connections "
        "that were opened in the reserve.", lambda row: row.reserve_grants),
    DATABASES.family("greenpool_coordinator_promotions_total", C, "Of those, connections that the "
        "limit had room for later.", lambda row: row.promotions),
    DATABASES.family("greenpool_coordinator_exhaustions_total", C, "Waits that query_wait_timeout "
        "has ended because the limit and the reserve were used up.", lambda row: row.exhaustions),
    # --- work -----------------------------------------------------------------------------------
    POOLS.family("greenpool_transactions_total", C, "Transactions.", lambda row: row.xact_count),
    POOLS.family("greenpool_queries_total", C, "Requests that servers have answered: Query, "
        "Execute and FunctionCall messages.", lambda row: row.query_count),
    POOLS.family("greenpool_received_bytes_total", C, "Bytes from clients to servers.",
        lambda row: row.bytes_received),
    POOLS.family("greenpool_sent_bytes_total", C, "Bytes from servers to clients.",
        lambda row: row.bytes_sent),
    POOLS.parts("greenpool_errors_total", C, "Errors that PostgreSQL reported, by the class of "
        "their SQLSTATE, its first two characters.", "class",
        lambda row: dict(zip(map(str, ErrorClass), row.errors_of, strict=True))),
    POOLS.family("greenpool_session_looks_total", C, "Times that PostgreSQL was asked what a "
        "session has become (session_state: track).", lambda row: row.looks),
    # --- prepared statements --------------------------------------------------------------------
    POOLS.family("greenpool_client_parses_total", C, "Parse messages of clients.",
        lambda row: row.client_parses),
    POOLS.family("greenpool_server_parses_total", C, "Parse messages that servers got, for "
        "whatever reason; all others were answered here.", lambda row: row.server_parses),
    POOLS.family("greenpool_binds_total", C, "Bind messages of clients for statements that they "
        "have prepared.", lambda row: row.binds),
    POOLS.parts("greenpool_prepared_uses_total", C, "Times that a Bind or Describe needed a "
        "statement which the server held (hit), or which it had to be sent first (miss).", "result",
        lambda row: {"hit": row.statement_hits, "miss": row.statement_misses}),
    POOLS.family("greenpool_prepared_evictions_total", C, "Statements that were closed on a server "
        "for want of room (server_prepared_statements_cache_size).",
        lambda row: row.statement_evictions),
    POOLS.family("greenpool_server_prepared_statements", G, "Statements that a pool's servers hold "
        "now, each counted for every server.", lambda row: row.server_statements),
    # --- times ----------------------------------------------------------------------------------
    POOLS.seen("greenpool_query_seconds", H, "Time from a request to its answer, at the server.",
        _pool_times(TimeKind.QUERY)),
    POOLS.seen("greenpool_transaction_seconds", H, "Time that transactions kept a server.",
        _pool_times(TimeKind.TRANSACTION)),
    POOLS.seen("greenpool_wait_seconds", H, "Time that clients waited for a server, of those that "
        "had to, to the end of the wait, also if none came.", _pool_times(TimeKind.WAIT)),
    WORKERS.seen("greenpool_worker_query_seconds", H, "As greenpool_query_seconds, by worker.",
        _worker_times(TimeKind.QUERY)),
    WORKERS.seen("greenpool_worker_transaction_seconds", H, "As greenpool_transaction_seconds, by "
        "worker.", _worker_times(TimeKind.TRANSACTION)),
    WORKERS.seen("greenpool_worker_wait_seconds", H, "As greenpool_wait_seconds, by worker.",
        _worker_times(TimeKind.WAIT)),
    Family("greenpool_query_recent_seconds", G, "Percentiles (50, 90, 95, 99) of query times in "
        "the last half to one minute; missing while there are none.",
        (*POOLS.labels, "percentile"), _percentiles(TimeKind.QUERY)),
    Family("greenpool_transaction_recent_seconds", G, "The same of transactions.",
        (*POOLS.labels, "percentile"), _percentiles(TimeKind.TRANSACTION)),
    Family("greenpool_wait_recent_seconds", G, "The same of waits.",
        (*POOLS.labels, "percentile"), _percentiles(TimeKind.WAIT)),
    # --- certificates ---------------------------------------------------------------------------
    CERTIFICATES.family("greenpool_certificate_not_after_timestamp_seconds", G, "When a "
        "certificate in force ends, in Unix time: shown to clients (use client) or to servers "
        "(server), its chain included, or an authority (client_authority, server_authority).",
        lambda row: row.not_after_s),
    CERTIFICATES.family("greenpool_certificate_not_before_timestamp_seconds", G, "When it begins "
        "to be valid, in Unix time.", lambda row: row.not_before_s),
)
# fmt: on
