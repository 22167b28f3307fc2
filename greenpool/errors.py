"""Every error that greenpool raises on purpose, and the exit codes of its processes.

Law: errors derive from `GreenpoolError`; a room may derive its own, more precise ones. Exit codes
are numbers here and names everywhere else. What a client may see says so by deriving from
`ReportedError`, which carries the severity and the SQLSTATE of its ErrorResponse.
Texts are PostgreSQL's in style: lower case, no final period, names in double quotes.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes of commands, of the master and of workers."""

    DONE = 0
    FAILED = 1
    USAGE = 2  # the command line or the configuration is wrong
    DO_NOT_RESPAWN = 3  # a worker's: starting it again would fail in the same way


class GreenpoolError(Exception):
    """The base of all; `exit_code` is what a command that ends with this error returns."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED


class ConfigError(GreenpoolError):
    """The configuration cannot be used.

    `problems` holds all that is wrong, one line each, in the order of the files:
    `file:line:column: path: what is wrong`.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.USAGE

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class StartupError(GreenpoolError):
    """The master or a worker cannot start: an address in use, a pid file of a living master..."""


class ControlError(GreenpoolError):
    """A command cannot find the running master, or the master refused the command."""


class EngineError(GreenpoolError):
    """The C engine reported a failure that no connection can be blamed for."""


class HandoffError(GreenpoolError):
    """Connections or listening sockets could not be passed to another process."""


class ReportedError(GreenpoolError):
    """An error that ends in an ErrorResponse to a client.

    `severity` is FATAL if and only if greenpool closes the connection after it.
    """

    severity: ClassVar[str] = "FATAL"
    default_sqlstate: ClassVar[str] = "XX000"  # internal_error

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate or self.default_sqlstate


class ClientProtocolError(ReportedError):
    """A client sent what the protocol does not allow."""

    default_sqlstate: ClassVar[str] = "08P01"  # protocol_violation


class ServerProtocolError(ReportedError):
    """A server sent what the protocol does not allow; its connection is of no more use."""

    default_sqlstate: ClassVar[str] = "08P01"  # protocol_violation


class ServerUnavailable(ReportedError):
    """No server connection could be opened or logged in."""

    default_sqlstate: ClassVar[str] = "08006"  # connection_failure
