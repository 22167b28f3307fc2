"""The table of metric families. A family is a row here; all else follows: what a scrape says,
docs/metrics.md, and the tests.

Law: names begin with `greenpool_` and end in the base unit, counters in `_total`. A series that can
be there is there from the start, with 0, so that its first event is seen as a rise. What was
counted in a pool that a reload has removed is out of sight until that pool is back.
Partner: `scene.py`, which is what rows are made from; `collector.py`, which makes the text.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

import greenpool
from greenpool.observe.events import GENERATION_RETURNED, KEPT, UPGRADE_FAILED, UPGRADED
from greenpool.observe.scene import Scene
from greenpool.observe.times import NS_PER_S, Rungs
from greenpool.records import (
    DatabaseRow,
    EngineIo,
    Haste,
    Hold,
    MemoryKind,
    Pin,
    PoolRow,
    Reason,
    Refusal,
    TimeKind,
    Visit,
    WorkerRow,
)


class Kind(Enum):
    """What a family is, in Prometheus's words."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


Value = float | Rungs
Samples = Iterable[tuple[tuple[str, ...], Value]]


@dataclass(frozen=True, slots=True)
class Family:
    """One family: its name, its sentence, its labels, and what makes its samples."""

    name: str
    kind: Kind
    doc: str
    labels: tuple[str, ...]
    samples: Callable[[Scene], Samples]


_POOL = ("database", "user")
_DATABASE = ("database",)
_PROCESS = ("process", "worker")
_CERTIFICATE = ("use", "database", "path", "subject", "serial")

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


def _one(value: Callable[[Scene], float]) -> Callable[[Scene], Samples]:
    """Make the one sample of a family without labels."""
    return lambda scene: [((), value(scene))]


def _pool(value: Callable[[PoolRow], float]) -> Callable[[Scene], Samples]:
    return lambda scene: (((row.database, row.user), value(row)) for row in scene.pools)


def _database(value: Callable[[DatabaseRow], float]) -> Callable[[Scene], Samples]:
    """Make a sample for each database that has a limit."""
    return lambda scene: (((row.name,), value(row)) for row in scene.databases if row.max)


def _pool_parts(parts: Callable[[PoolRow], dict[str, int]]) -> Callable[[Scene], Samples]:
    """Make a sample for each named part of a pool: a state, a reason, a source."""
    return lambda scene: (
        ((row.database, row.user, name), value)
        for row in scene.pools
        for name, value in parts(row).items()
    )


def _worker(value: Callable[[WorkerRow, Scene], float]) -> Callable[[Scene], Samples]:
    return lambda scene: (((str(row.index),), value(row, scene)) for row in scene.workers)


def _pool_times(kind: TimeKind) -> Callable[[Scene], Samples]:
    return lambda scene: (
        ((row.database, row.user), scene.pool_times[kind, row.index]) for row in scene.pools
    )


def _worker_times(kind: TimeKind) -> Callable[[Scene], Samples]:
    return lambda scene: (
        ((str(row.index),), scene.worker_times[kind, row.index]) for row in scene.workers
    )


def _percentiles(kind: TimeKind) -> Callable[[Scene], Samples]:
    return lambda scene: (
        ((row.database, row.user, str(percentile)), seconds)
        for row in scene.pools
        for percentile, seconds in scene.percentiles_s[kind, row.index].items()
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


def _prepared(row: PoolRow) -> dict[str, int]:
    return {"named": row.prepared_named, "unnamed": row.prepared_unnamed}


def _word(member: Haste | MemoryKind | Pin | Reason | Refusal | Visit) -> str:
    return str(member.name).lower()


def _connected(scene: Scene) -> int:
    return sum(row.clients for row in scene.workers if row.alive)


def _unpooled(scene: Scene) -> int:
    pooled = sum(sum(_client_states(row).values()) for row in scene.pools)
    return max(0, _connected(scene) - pooled)


def _refusals(scene: Scene) -> Samples:
    for row in scene.workers:
        for refusal, count in zip(Refusal, row.refusals, strict=True):
            yield (str(row.index), _word(refusal)), count


def _memory(scene: Scene) -> Samples:
    for row in scene.workers:
        for kind, held in zip(MemoryKind, row.memory_bytes, strict=True):
            yield (str(row.index), _word(kind)), held if row.alive else 0


def _visits(scene: Scene) -> Samples:
    for row in scene.workers:
        for visit in (Visit.TLS, Visit.PLAIN, Visit.CANCEL, Visit.IN_VAIN):
            yield (str(row.index), _word(visit)), row.visits[visit]


def _events(scene: Scene) -> Samples:
    for number, event in KEPT.items():
        yield (event.name,), scene.happened[number]


def _upgrades(scene: Scene) -> Samples:
    ends = {"done": UPGRADED, "failed": UPGRADE_FAILED, "undone": GENERATION_RETURNED}
    for result, event in ends.items():
        if event.kept is not None:
            yield (result,), scene.happened[event.kept]


def _build(scene: Scene) -> Samples:
    yield (greenpool.__version__, platform.python_version()), 1


def _settings(scene: Scene) -> Samples:
    for row in scene.pools:
        settings = row.settings
        words = (settings.mode.name.lower(), settings.session_state.name.lower())
        yield (row.database, row.user, *words), 1


def _backends(scene: Scene) -> Samples:
    for row in scene.workers:
        yield (str(row.index), str(EngineIo(row.io_backend))), 1


def _processes(field: str) -> Callable[[Scene], Samples]:
    return lambda scene: (((row.role, row.worker), getattr(row, field)) for row in scene.processes)


def _certificates(field: str) -> Callable[[Scene], Samples]:
    def samples(scene: Scene) -> Iterator[tuple[tuple[str, ...], float]]:
        for each in scene.certificates:
            labels = (each.use.value, each.database, each.path, each.subject, each.serial)
            yield labels, getattr(each, field)

    return samples


def _age_s(row: WorkerRow, scene: Scene) -> float:
    return max(0, scene.now_ns - row.beat_ns) / NS_PER_S if row.alive else 0.0


G, C, H = Kind.GAUGE, Kind.COUNTER, Kind.HISTOGRAM

# fmt: off
FAMILIES: tuple[Family, ...] = (
    # --- greenpool itself -----------------------------------------------------------------------
    Family("greenpool_build_info", G, "Always 1; the labels tell what runs.",
        ("version", "python"), _build),
    Family("greenpool_start_time_seconds", G, "When greenpool was started, in Unix time; upgrades "
        "do not change it.", (), _one(lambda s: s.news.started_s)),
    Family("greenpool_draining", G, "1 while greenpool is being stopped and transactions may end.",
        (), _one(lambda s: s.news.is_draining)),
    Family("greenpool_config_last_reload_successful", G, "1 if the configuration could be loaded "
        "the last time it was asked for; 0: the one before is still in force.", (),
        _one(lambda s: s.news.last_reload.is_ok)),
    Family("greenpool_config_last_reload_timestamp_seconds", G, "When the configuration was last "
        "asked for, with success or not, in Unix time; a start counts.", (),
        _one(lambda s: s.news.last_reload.at_s)),
    # --- processes ------------------------------------------------------------------------------
    Family("greenpool_worker_up", G, "1 while a process has this worker's place.", ("worker",),
        _worker(lambda row, _: row.alive)),
    Family("greenpool_worker_restarts_total", C, "Processes that took this place after its first.",
        ("worker",), _worker(lambda row, _: max(0, row.births - 1))),
    Family("greenpool_worker_clients", G, "Clients of this worker, those in login included.",
        ("worker",), _worker(lambda row, _: row.clients if row.alive else 0)),
    Family("greenpool_worker_busy_ratio", G, "Share of a core that this worker has used lately.",
        ("worker",), _worker(lambda row, _: row.busy_permille / 1000 if row.alive else 0)),
    Family("greenpool_worker_heartbeat_age_seconds", G, "Time since this worker's loop was last "
        "seen alive; ten times a second when all is well.", ("worker",), _worker(_age_s)),
    Family("greenpool_worker_io_backend_info", G, "Always 1; the label tells what this worker "
        "waits for its sockets with.", ("worker", "io_backend"), _backends),
    Family("greenpool_process_cpu_seconds_total", C, "Processor time that a process has used; "
        "process is master, worker or observer.", _PROCESS, _processes("cpu_s")),
    Family("greenpool_process_resident_memory_bytes", G, "Resident memory of a process; what "
        "processes share counts in each of them.", _PROCESS, _processes("resident_bytes")),
    Family("greenpool_process_open_fds", G, "Open descriptors of a process.", _PROCESS,
        _processes("open_files")),
    # --- memory ---------------------------------------------------------------------------------
    Family("greenpool_memory_bytes", G, "What clients and servers make a worker hold, by kind: "
        "unsent, incomplete or waiting bytes (buffers), texts and names of prepared statements "
        "(statements), what sessions have been set to (states).", ("worker", "kind"), _memory),
    Family("greenpool_memory_limit_bytes", G, "max_memory_usage, which bounds the sum; 0: no "
        "limit.", (), _one(lambda s: s.news.config.general.max_memory_usage_bytes)),
    Family("greenpool_memory_refusals_total", C, "Times that a client or server needed memory "
        "which max_memory_usage did not leave it.", ("worker",),
        _worker(lambda row, _: row.memory_refusals)),
    Family("greenpool_pool_buffer_bytes", G, "Buffers held for a pool's clients and their servers, "
        "half a second ago at most.", _POOL, _pool(lambda row: row.buffer_bytes)),
    Family("greenpool_client_prepared_statements", G, "Statements that a pool's clients have "
        "prepared, with a name of theirs (named) or without (unnamed).", (*_POOL, "kind"),
        _pool_parts(_prepared)),
    Family("greenpool_client_prepared_bytes", G, "Texts and names of these, each counted for every "
        "client that has it.", _POOL, _pool(lambda row: row.prepared_bytes)),
    Family("greenpool_worker_statements", G, "Texts of prepared statements that this worker keeps, "
        "once each.", ("worker",), _worker(lambda row, _: row.statements if row.alive else 0)),
    # --- what has happened ----------------------------------------------------------------------
    Family("greenpool_events_total", C, "What has happened to the house since its start, over "
        "upgrades: the events that docs/logs.md marks.", ("event",), _events),
    Family("greenpool_upgrades_total", C, "Upgrades since the start, by their end.", ("result",),
        _upgrades),
    # --- clients --------------------------------------------------------------------------------
    Family("greenpool_connections_accepted_total", C, "Connections that were accepted.",
        ("worker",), _worker(lambda row, _: row.visits[Visit.ANY])),
    Family("greenpool_connections_total", C, "The same by what came of them: a login with TLS "
        "(tls) or without (plain), a CancelRequest (cancel), or gone or refused before a login "
        "began (in_vain).", ("worker", "result"), _visits),
    Family("greenpool_clients_connected", G, "Clients over all workers, those in login or in the "
        "admin console included.", (), _one(_connected)),
    Family("greenpool_clients_unpooled", G, "Of those, the ones that no pool serves: in login, in "
        "the admin console, or on their way out.", (), _one(_unpooled)),
    Family("greenpool_clients_max", G, "max_connections.", (),
        _one(lambda s: s.news.config.general.max_connections)),
    Family("greenpool_user_clients_max", G, "max_user_client_connections; 0: no limit.", (),
        _one(lambda s: s.news.config.general.max_user_client_connections)),
    Family("greenpool_database_clients_max", G, "max_db_client_connections; 0: no limit.", (),
        _one(lambda s: s.news.config.general.max_db_client_connections)),
    Family("greenpool_address_clients_max", G, "max_address_client_connections; 0: no limit.", (),
        _one(lambda s: s.news.config.general.max_address_client_connections)),
    Family("greenpool_clients", G, "Clients of a pool: with a server (active), with nothing asked "
        "(idle), without the server that they need (waiting).", (*_POOL, "state"),
        _pool_parts(_client_states)),
    Family("greenpool_clients_tls", G, "Clients of a pool that speak TLS.", _POOL,
        _pool(lambda row: row.cl_tls)),
    Family("greenpool_clients_pumped", G, "Clients of a pool whose TLS session has stayed in the "
        "process of a worker before an upgrade.", _POOL, _pool(lambda row: row.cl_pumped)),
    Family("greenpool_clients_pinned", G, "Clients that keep their server between transactions, "
        "by what they have on it.", (*_POOL, "reason"),
        _pool_parts(lambda row: _pins(row.cl_pinned))),
    Family("greenpool_client_pins_total", C, "Times that a client came to keep its server, by "
        "reason.", (*_POOL, "reason"), _pool_parts(lambda row: _pins(row.pins_of))),
    Family("greenpool_client_maxwait_seconds", G, "How long the client that has waited longest has "
        "been waiting for a server; 0: nobody waits.", _POOL,
        _pool(lambda row: row.maxwait_ns / NS_PER_S)),
    Family("greenpool_client_wait_timeouts_total", C, "Waits that query_wait_timeout has ended.",
        _POOL, _pool(lambda row: row.timeouts)),
    Family("greenpool_client_waits_left_total", C, "Waits that ended without a server: by "
        "query_wait_timeout, a cancel, or because the client left.", _POOL,
        _pool(lambda row: row.waits_left)),
    Family("greenpool_client_wait_notices_total", C, "Clients that query_wait_notify has told that "
        "they wait.", _POOL, _pool(lambda row: row.wait_notices)),
    Family("greenpool_query_timeouts_total", C, "Queries that query_timeout has cancelled.", _POOL,
        _pool(lambda row: row.query_timeouts)),
    Family("greenpool_client_logins_total", C, "Clients that were let in, greenpool's own "
        "questions (a few for each pool and worker) included.", _POOL,
        _pool(lambda row: row.client_logins)),
    Family("greenpool_client_refusals_total", C, "Clients that were not let in: not who they say "
        "or not wanted (identity), too many (limit), too many of one address or too often "
        "(address), a handshake that failed (tls), client_login_timeout (timeout), or another "
        "reason (other).", ("worker", "reason"),
        _refusals),
    Family("greenpool_client_disconnections_total", C, "Clients that have gone, by reason; those "
        "that a killed worker took along are not counted.", (*_POOL, "reason"),
        _pool_parts(lambda row: {_word(r): row.client_ends[r] for r in CLIENT_REASONS})),
    # --- servers --------------------------------------------------------------------------------
    Family("greenpool_servers", G, "Server connections of a pool, by what they do.",
        (*_POOL, "state"), _pool_parts(_server_states)),
    Family("greenpool_servers_tls", G, "Server connections that speak TLS.", _POOL,
        _pool(lambda row: row.sv_tls)),
    Family("greenpool_pool_size", G, "pool_size: server connections that the pool may have.",
        _POOL, _pool(lambda row: row.settings.size)),
    Family("greenpool_pool_min_size", G, "min_pool_size.", _POOL,
        _pool(lambda row: row.settings.min_size)),
    Family("greenpool_pool_paused", G, "1 while PAUSE or KILL holds the pool.", _POOL,
        _pool(lambda row: row.held & Hold.PAUSED != 0)),
    Family("greenpool_pool_disabled", G, "1 while DISABLE keeps clients out.", _POOL,
        _pool(lambda row: row.held & Hold.DISABLED != 0)),
    Family("greenpool_pool_info", G, "Always 1; the labels tell how the pool works.",
        (*_POOL, "pool_mode", "session_state"), _settings),
    Family("greenpool_pool_login_failing", G, "1 since a login at PostgreSQL failed, until one "
        "succeeds.", _POOL, _pool(lambda row: row.ailing)),
    Family("greenpool_server_logins_total", C, "Server connections that were opened.", _POOL,
        _pool(lambda row: row.logins)),
    Family("greenpool_server_login_failures_total", C, "Server connections that could not be "
        "opened.", _POOL, _pool(lambda row: row.login_failures)),
    Family("greenpool_server_logins_begun_total", C, "Server connections that a place for their "
        "login was found for.", _POOL, _pool(lambda row: row.creates)),
    Family("greenpool_server_logins_spared_total", C, "Of those, the ones given up at once because "
        "nobody waited any more.", _POOL, _pool(lambda row: row.spared)),
    Family("greenpool_server_login_recent_seconds", G, "What a login takes lately, as greenpool "
        "expects it of the next; 0: not known yet.", _POOL,
        _pool(lambda row: row.login_ns / NS_PER_S)),
    Family("greenpool_pool_gate_waits_total", C, "Times that a login had to wait because as many "
        "as allowed were in flight: a client's that was in haste (haste) or had been patient "
        "(patience), one for min_pool_size (fill).", (*_POOL, "cause"), _pool_parts(_gate_waits)),
    Family("greenpool_client_hastes_total", C, "Clients that a server was opened for at once, or "
        "as soon as it might, by reason (docs/pools.md).", (*_POOL, "reason"),
        _pool_parts(lambda row: dict(zip(map(_word, Haste), row.hastes, strict=True)))),
    Family("greenpool_client_patience_total", C, "Clients that waited for a server to come back "
        "before one was opened: one came in time (served), none did (overdue).",
        (*_POOL, "outcome"),
        _pool_parts(lambda row: {"served": row.patience_met, "overdue": row.patience_lost})),
    Family("greenpool_server_disconnections_total", C, "Server connections that were given up, by "
        "reason.", (*_POOL, "reason"),
        _pool_parts(lambda row: {_word(r): row.server_ends[r] for r in SERVER_REASONS})),
    Family("greenpool_server_assignments_total", C, "Times that a client got a server: one of its "
        "worker's own (own), one that another worker had (other), at the end of a wait (wait).",
        (*_POOL, "source"), _pool_parts(_sources)),
    Family("greenpool_server_handovers_total", C, "Servers that a worker handed to a client "
        "waiting in another.", _POOL, _pool(lambda row: row.handed_away)),
    Family("greenpool_server_handovers_unused_total", C, "Servers that came when nobody waited "
        "any more.", _POOL, _pool(lambda row: row.bounced)),
    # --- databases with max_db_connections ------------------------------------------------------
    Family("greenpool_coordinator_connections_max", G, "max_db_connections of a database; without "
        "one it has none of these.", _DATABASE, _database(lambda row: row.max)),
    Family("greenpool_coordinator_connections", G, "Server connections of all users of the "
        "database, the reserve's included.", _DATABASE, _database(lambda row: row.used)),
    Family("greenpool_coordinator_reserve_max", G, "reserve_pool_size.", _DATABASE,
        _database(lambda row: row.reserve)),
    Family("greenpool_coordinator_reserve_connections", G, "Server connections in the reserve.",
        _DATABASE, _database(lambda row: row.reserve_used)),
    Family("greenpool_coordinator_evictions_total", C, "Server connections that were closed for "
        "another user of the database.", _DATABASE, _database(lambda row: row.evictions)),
    Family("greenpool_coordinator_cessions_total", C, "Of those, connections of users who were "
        "never idle.", _DATABASE, _database(lambda row: row.cessions)),
    Family("greenpool_coordinator_reserve_acquisitions_total", C, "Server connections that were "
        "opened in the reserve.", _DATABASE, _database(lambda row: row.reserve_grants)),
    Family("greenpool_coordinator_promotions_total", C, "Of those, connections that the limit had "
        "room for later.", _DATABASE, _database(lambda row: row.promotions)),
    Family("greenpool_coordinator_exhaustions_total", C, "Waits that query_wait_timeout has ended "
        "because the limit and the reserve were used up.", _DATABASE,
        _database(lambda row: row.exhaustions)),
    # --- work -----------------------------------------------------------------------------------
    Family("greenpool_transactions_total", C, "Transactions.", _POOL,
        _pool(lambda row: row.xact_count)),
    Family("greenpool_queries_total", C, "Requests that servers have answered: Query, Execute and "
        "FunctionCall messages.", _POOL, _pool(lambda row: row.query_count)),
    Family("greenpool_received_bytes_total", C, "Bytes from clients to servers.", _POOL,
        _pool(lambda row: row.bytes_received)),
    Family("greenpool_sent_bytes_total", C, "Bytes from servers to clients.", _POOL,
        _pool(lambda row: row.bytes_sent)),
    Family("greenpool_errors_total", C, "Errors that PostgreSQL reported.", _POOL,
        _pool(lambda row: row.errors)),
    Family("greenpool_session_looks_total", C, "Times that PostgreSQL was asked what a session has "
        "become (session_state: track).", _POOL, _pool(lambda row: row.looks)),
    # --- times ----------------------------------------------------------------------------------
    Family("greenpool_query_seconds", H, "Time from a request to its answer, at the server.", _POOL,
        _pool_times(TimeKind.QUERY)),
    Family("greenpool_transaction_seconds", H, "Time that transactions kept a server.", _POOL,
        _pool_times(TimeKind.TRANSACTION)),
    Family("greenpool_wait_seconds", H, "Time that clients waited for a server, of those that had "
        "to, to the end of the wait, also if none came.", _POOL, _pool_times(TimeKind.WAIT)),
    Family("greenpool_worker_query_seconds", H, "As greenpool_query_seconds, by worker.",
        ("worker",), _worker_times(TimeKind.QUERY)),
    Family("greenpool_worker_transaction_seconds", H, "As greenpool_transaction_seconds, by "
        "worker.", ("worker",), _worker_times(TimeKind.TRANSACTION)),
    Family("greenpool_worker_wait_seconds", H, "As greenpool_wait_seconds, by worker.",
        ("worker",), _worker_times(TimeKind.WAIT)),
    Family("greenpool_query_recent_seconds", G, "Percentiles (50, 90, 95, 99) of query times in "
        "the last half to one minute; missing while there are none.", (*_POOL, "percentile"),
        _percentiles(TimeKind.QUERY)),
    Family("greenpool_transaction_recent_seconds", G, "The same of transactions.",
        (*_POOL, "percentile"), _percentiles(TimeKind.TRANSACTION)),
    Family("greenpool_wait_recent_seconds", G, "The same of waits.", (*_POOL, "percentile"),
        _percentiles(TimeKind.WAIT)),
    # --- certificates ---------------------------------------------------------------------------
    Family("greenpool_certificate_not_after_timestamp_seconds", G, "When a certificate in force "
        "ends, in Unix time: shown to clients (use client) or to servers (server), its chain "
        "included, or an authority (client_authority, server_authority).", _CERTIFICATE,
        _certificates("not_after_s")),
    Family("greenpool_certificate_not_before_timestamp_seconds", G, "When it begins to be valid, "
        "in Unix time.", _CERTIFICATE, _certificates("not_before_s")),
)
# fmt: on
