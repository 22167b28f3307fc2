"""Rows: what is in the shared segment as it was a moment ago, for SHOW and metrics.

Law: every field here equals its C partner in `_cparser/engine_rows.h` (`tests/unit/test_engine.py`
compares them). Nothing here needs the compiled engine, so whoever only reads rows can be tested
without it. Partner: `segment.py`, which makes these values. Times are CLOCK_MONOTONIC nanoseconds
unless the name has another unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from greenpool.records import ClientState, PoolSettings, SlotState


@dataclass(frozen=True, slots=True)
class DatabaseRow:
    """A database as it was a moment ago; counters are of all its pools."""

    index: int
    name: str
    max: int
    reserve: int
    used: int
    """Places that are taken, those of the reserve and beyond a lowered limit included."""
    reserve_used: int
    pools: int
    evictions: int
    """Servers closed for another pool."""
    cessions: int
    """Of those, servers of pools that were never idle."""
    reserve_grants: int
    promotions: int
    """Servers that moved from the reserve to an ordinary place."""
    exhaustions: int
    """Clients whose query_wait_timeout ended for want of a place."""


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A pool as it was a moment ago, counters summed over all workers."""

    index: int
    database: str
    user: str
    settings: PoolSettings
    in_use: int
    ailing: int
    """1: its last login at PostgreSQL, or that of another pool at its server, has failed."""
    held: int  # Hold
    cl_active: int
    cl_waiting: int
    cl_idle: int
    cl_login: int
    cl_tls: int
    cl_pinned: tuple[int, ...]
    """By `Pin`, in its order."""
    cl_pumped: int
    """Those whose TLS session is in another process than their worker."""
    buffer_bytes: int
    """Held for its clients and their servers, a moment ago."""
    prepared_named: int
    prepared_unnamed: int
    prepared_bytes: int
    """Of those statements' texts and names."""
    sv_active: int
    sv_idle: int
    sv_login: int
    sv_canceled: int
    sv_closing: int
    sv_tls: int
    maxwait_ns: int
    xact_count: int
    query_count: int
    bytes_received: int
    bytes_sent: int
    xact_ns: int
    query_ns: int
    wait_ns: int
    wait_count: int
    errors: int
    taken_own: int
    taken_other: int
    handed_away: int
    bounced: int
    timeouts: int
    logins: int
    login_failures: int
    looks: int
    pins: int
    query_timeouts: int
    wait_notices: int
    pins_of: tuple[int, ...]
    """By `Pin`, in its order."""
    client_logins: int
    client_ends: tuple[int, ...]
    """By `Reason`, like the next one."""
    server_ends: tuple[int, ...]
    creates: int
    """Server logins that were granted a place, those of `spared` included."""
    gate_waits: int
    """Clients in haste whose login had to wait for another one to end."""
    gate_overdue: int
    """The same of those who had been patient, once for all who were so together."""
    patience_met: int
    """Patient clients that got a server in time ..."""
    patience_lost: int
    """... and those that did not, so that they wanted a login ..."""
    patience_opened: int
    """... of which so many were begun at once."""
    fills_deferred: int
    """Times that `min_size` was not reached because of other logins in flight."""
    spared: int
    """Logins that were given up before they began, because nobody waited any more."""
    waits_left: int
    """Waits that ended without a server."""
    hastes: tuple[int, ...]
    """Clients in haste from the start, by `Haste`."""
    login_ns: int
    """What a login takes lately; 0: not known yet."""
    errors_of: tuple[int, ...]
    """By `ErrorClass`; their sum is `errors`."""
    client_parses: int
    """Parse messages of clients; `server_parses`: that servers got."""
    server_parses: int
    binds: int
    statement_hits: int
    """Uses of a statement that the server held already; `statement_misses`: it was sent first."""
    statement_misses: int
    statement_evictions: int
    """Statements closed on a server for want of room."""
    server_statements: int
    """Statements that its servers hold, each counted for every server."""


@dataclass(frozen=True, slots=True)
class Times:
    """How many times of each length there were; their bounds: `engine.time_bounds_ns`."""

    sum_ns: int
    counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class SlotRow:
    """A server connection as it was a moment ago; `key` cancels it: never show it."""

    index: int
    state: SlotState
    worker: int
    client: int
    generation: int
    cancels: int
    backend_pid: int
    stale: int
    """1: it is closed as soon as it is at rest."""
    holders: int
    idle_since_ns: int
    opened_ns: int
    expires_ns: int
    xacts: int
    prepared: int
    """Statements that it holds."""
    key: bytes
    address: str
    tls: str
    """Version and cipher; empty: plain."""

    def __repr__(self) -> str:
        return f"SlotRow(index={self.index}, state={self.state.name}, pid={self.backend_pid})"


@dataclass(frozen=True, slots=True)
class ClientRow:
    """A client as it was a moment ago. `pool` and `slot` are index + 1, 0 for none."""

    client: int
    state: ClientState
    worker: int
    pool: int
    slot: int
    cancels: int
    """Of a client that no pool serves: CancelRequests for it, so far."""
    wait_since_ns: int
    request_ns: int
    connected_ns: int
    xacts: int
    queries: int
    pins: int
    pumped: int
    bytes_received: int
    bytes_sent: int
    prepared: int
    """Statements that it has prepared, and their bytes; the buffers held for it: a moment ago."""
    prepared_bytes: int
    buffer_bytes: int
    user: str
    database: str
    address: str
    application: str
    tls: str


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker's place in the segment."""

    index: int
    pid: int
    alive: int
    births: int
    clients: int
    busy_permille: int
    io_backend: int  # EngineIo
    beat_ns: int
    moved_in: int
    """Clients that came from other workers; `moved_out`: that went to them."""
    moved_out: int
    refusals: tuple[int, ...]
    """By `Refusal`: clients that were not let in."""
    memory_bytes: tuple[int, ...]
    """By `MemoryKind`."""
    memory_refusals: int
    still: int
    """1: it reads from nobody and has nothing unsent, because of SUSPEND."""
    visits: tuple[int, ...]
    """By `Visit`: connections."""
    statements: int
    """Texts that it keeps, those without a user included."""
    idle_statements: int


@dataclass(frozen=True, slots=True)
class StatementRow:
    """A statement that a worker keeps: its identity, its name on servers, its text."""

    identity: int
    name: str
    query: str
    refs: int
    """Who needs it; 0: it is kept for those who come again."""
    uses: int
    """Times that a client has prepared it."""
    length: int


@dataclass(frozen=True, slots=True)
class ChronicleRow:
    """Something that has happened to the house; `worker` None: the master tells it."""

    number: int
    at_ns: int
    kind: int
    worker: int | None
    pid: int
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that a client has changed, as PostgreSQL has reported it; long values are cut."""

    client: int
    user: str
    database: str
    address: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Audit:
    """All places of the segment compared with each other; the first five are 0 in a sound one."""

    dead_owners: int
    bad_idle_bits: int
    lost_creates: int
    over_limit: int
    orphan_clients: int
    slots_in_use: int
    slots_idle: int
    slots_active: int
    clients: int
    places: int
    lost_places: int
    """Places of databases that nobody knows he has: 0 in a sound segment, too."""
