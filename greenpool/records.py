"""What the engine and the shared segment tell, as values: enums, rows, events.

Law: every name and number here equals its C partner in `_cparser/engine.h` and its parts
(`tests/unit/test_engine.py` compares them). Nothing here needs the compiled engine, so whoever
only reads rows can be tested without it. Partner: `engine.py`, which makes these values.
Times are CLOCK_MONOTONIC nanoseconds unless the name has another unit. (The partner of one header:
therefore longer than 600 lines.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenpool.tls import TlsContext, TlsSession

GP_ABI_VERSION = 11
"""The version of `_cparser/engine.h` that this program was written for."""

NAME_BYTES = 63
"""Longest name of a user or a database: PostgreSQL's NAMEDATALEN less its zero."""


SALT_BYTES_MAX = 256
"""Longest salt of a SCRAM secret."""


class Result(IntEnum):
    """How a call of the engine ended."""

    OK = 0
    NEED_MORE = 1
    AGAIN = 2
    EOF = 3
    EPROTO = 4
    EIO = 5
    EFULL = 6
    ENOENT = 7


class EngineIo(IntEnum):
    """What an engine waits for its sockets with."""

    EPOLL = 0
    URING = 1

    def __str__(self) -> str:
        return _IO_WORDS[self]


_IO_WORDS = {EngineIo.EPOLL: "epoll", EngineIo.URING: "io_uring"}


class PoolMode(IntEnum):
    """When a client gives its server back."""

    TRANSACTION = 0
    SESSION = 1
    STATEMENT = 2


class Hold(IntFlag):
    """What the administrator has said of a pool: `enum gp_hold`."""

    PAUSED = 1
    DISABLED = 2


class ClientState(IntEnum):
    """Where a client is in its life."""

    FREE = 0
    LOGIN = 1
    IDLE = 2
    WAITING = 3
    ACTIVE = 4
    CLOSING = 5
    GONE = 6


class SlotState(IntEnum):
    """Where a server connection is in its life."""

    FREE = 0
    CONNECTING = 1
    IDLE = 2
    ACTIVE = 3
    HANDOFF = 4
    PARKED = 5
    CLOSING = 6
    REAP = 7


class MemoryKind(IntEnum):
    """What memory is held as: `enum gp_memory_kind`."""

    BUFFERS = 0
    STATEMENTS = 1
    STATES = 2


class TimeKind(IntEnum):
    """Times that are kept in histograms."""

    QUERY = 0
    TRANSACTION = 1
    WAIT = 2


TIME_BUCKETS = 400
"""Of each of those histograms."""


class Haste(IntEnum):
    """Why a client does not wait for a server to come back before one more is opened."""

    COLD = 0
    CROWD = 1
    LASTING = 2
    SLOW = 3


class ErrorClass(IntEnum):
    """Classes of SQLSTATE that errors are counted by: `enum gp_error_class`."""

    OTHER = 0
    CLASS_08 = 1
    CLASS_22 = 2
    CLASS_23 = 3
    CLASS_25 = 4
    CLASS_26 = 5
    CLASS_28 = 6
    CLASS_40 = 7
    CLASS_42 = 8
    CLASS_53 = 9
    CLASS_57 = 10
    CLASS_58 = 11
    CLASS_XX = 12

    def __str__(self) -> str:
        """Return the first two characters of its SQLSTATEs, or `other`."""
        return self.name.removeprefix("CLASS_") if self else "other"


class EventKind(IntEnum):
    """What a step asks of Python."""

    OPEN = 1
    RETIRE = 2
    CANCEL = 3
    GOODBYE = 4
    GUEST = 5
    DRAINED = 6
    ARRIVED = 7
    PROVED = 8
    SERVED = 9
    SUSPECTS = 10
    OVERDUE = 11


class LoginMethod(IntEnum):
    """How a client proves who it is; NONE: a client of our own, to which nothing is said."""

    TRUST = 0
    MD5 = 1
    SCRAM = 2
    NONE = 3


class NoteKind(IntEnum):
    """What workers tell each other about a pool."""

    WELCOME = 0
    KEYS = 1
    SUSPECTS = 2
    OUTAGE = 3


NOTE_BYTES = {
    NoteKind.WELCOME: 4096,
    NoteKind.KEYS: 112,
    NoteKind.SUSPECTS: 8192,
    NoteKind.OUTAGE: 272,
}
"""The longest note of each kind."""


class Ailment(IntEnum):
    """What a failed login says about others: see `_cparser/outage.h`."""

    NOTHING = 0
    POOL = 1
    SERVER = 2


class SuspectFlags(IntFlag):
    """What a list of suspects says beside its words: `enum gp_suspects_flags`."""

    ANY = 1
    HIDE = 2
    FOREIGN = 4


class Reason(IntEnum):
    """Why a connection ended."""

    NONE = 0
    CLIENT_TERMINATE = 1
    CLIENT_EOF = 2
    CLIENT_IO = 3
    CLIENT_PROTOCOL = 4
    SERVER_EOF = 5
    SERVER_IO = 6
    SERVER_PROTOCOL = 7
    SERVER_FATAL = 8
    WAIT_TIMEOUT = 9
    CLIENT_IDLE = 10
    IDLE_TRANSACTION = 11
    SHUTDOWN = 12
    KILLED = 13
    LOGIN_FAILED = 14
    MODE = 15
    UNCLEAN = 16
    IDLE_TIMEOUT = 17
    LIFETIME = 18
    STALE = 19
    REAPED = 20
    CANCEL_STUCK = 21
    MEMORY = 22
    YIELDED = 23
    REFUSED = 24
    LOGIN_LEFT = 25
    TRANSACTION_TIMEOUT = 26
    QUERY_TIMEOUT = 27
    COPY_TIMEOUT = 28
    DATABASE_LIMIT = 29
    WRITE_TIMEOUT = 30


class Refusal(IntEnum):
    """Why a client was not let in."""

    OTHER = 0
    IDENTITY = 1
    LIMIT = 2
    TLS = 3
    TIMEOUT = 4
    ADDRESS = 5


class Visit(IntEnum):
    """What came of a connection; those of a login are counted by the engine."""

    ANY = 0
    IN_VAIN = 1
    TLS = 2
    PLAIN = 3
    CANCEL = 4


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a step asks of Python; which fields count depends on the kind."""

    kind: EventKind
    client: int
    pool: int
    slot: int
    detail: int


class EncryptionFlags(IntFlag):
    """Kinds of encryption: `enum gp_encryption`."""

    NONE = 0
    SSL = 1
    GSS = 2


@dataclass(frozen=True, slots=True)
class GuestManners:
    """How guests are received: `struct gp_guest_settings`. `tls`: whose hands the engine shakes."""

    guests_max: int
    address_guests_max: int
    address_clients_max: int
    timeout_ms: int
    welcome: bool
    knows: bool
    offers_tls: bool
    tls: TlsContext | None = None


@dataclass(frozen=True, slots=True)
class Guest:
    """An accepted client of whom no more is known than this.

    `address`: as `accept` returns it. `refused`: the encryption that it asked for. `said`: what it
    has said and nobody has answered. `neighbours`: guests of its address that are left, where their
    number is limited. The descriptor is the holder's.
    `tls`: what its handshake has led to so far, if it has begun; `is_direct`: without a request.
    """

    fd: int
    family: int
    address: object
    spent_ms: int = 0
    refused: EncryptionFlags = EncryptionFlags.NONE
    said: bytes = b""
    neighbours: int = 0
    tls: TlsSession | None = None
    is_direct: bool = False


class SessionHandling(IntEnum):
    """What becomes of session state when a server changes hands: `enum gp_session_state`."""

    OFF = 0
    RESET = 1
    TRACK = 2


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """What the engine must know of a pool; a timeout of 0 means none."""

    mode: PoolMode
    size: int
    min_size: int
    max_creates: int
    wait_timeout_ms: int
    idle_timeout_ms: int
    idle_transaction_timeout_ms: int
    client_idle_timeout_ms: int
    session_state: SessionHandling
    deferred_begin: bool
    statements_max: int
    """Prepared statements kept on one server; 0: statements pass untouched."""
    wait_notify_ms: int
    transaction_timeout_ms: int
    query_timeout_ms: int
    copy_timeout_ms: int
    cancel_wait_timeout_ms: int
    """Never 0."""
    round_robin: bool
    idle_check_ms: int
    """Rest after which a server is checked before it is used; 0: never."""
    connect_timeout_ms: int
    """Within which such a check must be answered."""
    client_write_timeout_ms: int
    warm_ratio: int
    """Percentage of `size` up to which servers are opened at once."""
    fast_retries: int
    """Servers that may come back before one more is opened; 0: it is opened at once."""
    server_tag: int
    """A hash of its server's address: while that is down, one pool at a time tries it."""
    retain_time_ms: int
    """In each such time at most `retain_max` idle servers are closed; either 0: no limit."""
    retain_max: int
    database_place: int
    """What `Segment.define_database` returned, + 1; 0: only its own size limits the pool."""
    reserve_size: int
    """Of its database's reserve, so many at most are this pool's."""


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """What the pools of one database share; `max` 0 means no limit, and no reserve."""

    max: int
    reserve: int
    reserve_timeout_ms: int
    guarantee: int
    min_lifetime_ms: int


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


class Pin(IntFlag):
    """Why a client keeps its server: `enum gp_pin` of `_cparser/continuity.h`."""

    PREPARE = 1
    CURSOR = 2
    TEMP_TABLE = 4
    LOCK = 8
    LISTEN = 16
    UNKNOWN = 32
    SETTING = 64
    SEQUENCE = 128


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


@dataclass(frozen=True, slots=True)
class StepCounts:
    """What the engine of this process has done so far, for measurements."""

    steps: int
    waits: int
    sleeps: int
    ready: int
    recvs: int
    sends: int
    sent_partial: int
    peeks: int


@dataclass(frozen=True, slots=True)
class CancelTarget:
    """The server that a CancelRequest is meant for, pinned until `Engine.cancel_done`."""

    pool: int
    slot: int
    generation: int
