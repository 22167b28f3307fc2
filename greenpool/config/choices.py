"""The words that settings with a fixed vocabulary take.

A member equals its word as a string too, so it can be compared with and printed as what the
user wrote.
"""

from __future__ import annotations

from enum import StrEnum


class PoolMode(StrEnum):
    """When a server goes back to its pool: after a transaction, a session, or each statement."""

    TRANSACTION = "transaction"
    SESSION = "session"
    STATEMENT = "statement"


class IoBackend(StrEnum):
    """How a worker's engine waits for sockets."""

    AUTO = "auto"
    IO_URING = "io_uring"
    EPOLL = "epoll"


class LogLevel(StrEnum):
    """The least severe log record that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """A line of text or a JSON object a record."""

    TEXT = "text"
    STRUCTURED = "structured"


class SessionState(StrEnum):
    """What happens to session state when a server changes hands."""

    TRACK = "track"
    RESET = "reset"
    OFF = "off"


class TlsMode(StrEnum):
    """TLS towards clients."""

    DISABLE = "disable"
    ALLOW = "allow"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


class ServerTlsMode(StrEnum):
    """TLS towards servers; libpq's sslmode."""

    DISABLE = "disable"
    ALLOW = "allow"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


class TlsVersion(StrEnum):
    """A TLS protocol version."""

    V1_2 = "1.2"
    V1_3 = "1.3"


class TargetSessionAttrs(StrEnum):
    """Which of several servers will do; libpq's target_session_attrs."""

    ANY = "any"
    READ_WRITE = "read-write"
    READ_ONLY = "read-only"
    PRIMARY = "primary"
    STANDBY = "standby"
    PREFER_STANDBY = "prefer-standby"


class LoadBalanceHosts(StrEnum):
    """Whether server_hosts are tried in order or in turn."""

    DISABLE = "disable"
    ROUND_ROBIN = "round-robin"
