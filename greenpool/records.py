"""What the engine is told and tells, as values: enums, settings, events; `rows.py` has the rows.

Law: every name and number here equals its C partner in `_cparser/engine.h` and its parts
(`tests/unit/test_engine.py` compares them). Nothing here needs the compiled engine, so whoever
only uses these can be tested without it. Partners: `engine.py` and `segment.py`.
Times are CLOCK_MONOTONIC nanoseconds unless the name has another unit.
"""

from __future__ import annotations

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
    CHANGED = 12


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
    log_parameters: bool
    """Whether `EventKind.CHANGED` tells of settings that its clients change."""


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """What the pools of one database share; `max` 0 means no limit, and no reserve."""

    max: int
    reserve: int
    reserve_timeout_ms: int
    guarantee: int
    min_lifetime_ms: int


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
