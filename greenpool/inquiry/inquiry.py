"""A connection to a server over which questions are put: connect, log in, Query -> rows.

    Target -> connect -> (TLS) -> log in -> ask, ask, ... -> close

Law: blocking; every read and write has a deadline. Partners: `answer.py`, `encryption.py`,
`auth.server_login`, the login.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from greenpool.auth.secret import Credential
from greenpool.auth.server_login import LoginState, ServerLogin
from greenpool.errors import ControlError, ServerProtocolError
from greenpool.inquiry.answer import Answer, Table
from greenpool.inquiry.encryption import Encryption, HandshakeFailed
from greenpool.protocol import frontend
from greenpool.protocol.body import MalformedBody
from greenpool.protocol.encryption import Step, steps
from greenpool.protocol.errors import ErrorFields, SqlState
from greenpool.protocol.frame import FrameReader
from greenpool.protocol.message import BackendType

SILENCE_S = 10.0
"""Seconds without a byte after which a server is given up."""

_MAX_BODY_BYTES = 1 << 20
_RECV_BYTES = 65536

Address = str | tuple[str, int]
"""The path of a UNIX socket, or host and port."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask, and as whom; `what` names it in errors."""

    what: str
    address: Address
    user: str
    database: str
    credential: Credential | None = field(repr=False)
    application_name: str
    encryption: Encryption = field(default_factory=Encryption)

    @property
    def host(self) -> str:
        """The host, or the path of the socket."""
        return self.address if isinstance(self.address, str) else self.address[0]

    def __str__(self) -> str:
        address = self.address
        name = f'"{address}"' if isinstance(address, str) else f"{address[0]} port {address[1]}"
        return f"{self.what} at {name}"


class Refusal(ControlError):
    """The server's own error, in its own words."""

    def __init__(self, error: ErrorFields) -> None:
        hint = f"\nHINT:  {error.hint}" if error.hint else ""
        super().__init__(f"{error.message}{hint}")
        self.sqlstate = error.sqlstate


class Inquiry:
    """A connection that has been logged in; whoever made it closes it."""

    __slots__ = ("_early", "_sock", "_target")

    def __init__(self, target: Target) -> None:
        """Connect and log in. Raises: Refusal, ControlError."""
        self._target = target
        with _told(target):
            self._sock, self._early = _log_in(target)

    def close(self) -> None:
        """Take leave."""
        with self._sock, suppress(OSError):  # it may have hung up
            self._sock.sendall(frontend.terminate())

    def ask(self, sql: str) -> Table:
        """Put one question. After an error the connection is of no more use.

        Raises: Refusal with the server's words, ControlError when it says nothing of use.
        """
        with _told(self._target):
            self._sock.sendall(frontend.query(sql))
            reader, answer = FrameReader(BackendType, _MAX_BODY_BYTES), Answer()
            messages = reader.feed(self._early)
            self._early = b""
            while not answer.is_complete:
                for message in messages:
                    answer.take(message)
                if answer.error is not None:
                    raise Refusal(answer.error)
                if not answer.is_complete:
                    messages = reader.feed(_receive(self._sock, self._target))
            return answer.table()


def _log_in(target: Target) -> tuple[socket.socket, bytes]:
    """Log in the one way or the other, as far as the mode allows both."""
    first, *others = steps(target.host, target.encryption.server_tls_mode)
    try:
        return _try(target, first)
    except (Refusal, HandshakeFailed) as exc:
        if not others or not _may_be_encryption(exc):
            raise
        try:
            return _try(target, others[0])
        except HandshakeFailed:  # it has no TLS: its first word is the better one
            raise exc from None


def _may_be_encryption(exc: Refusal | HandshakeFailed) -> bool:
    if isinstance(exc, HandshakeFailed):
        return True
    return exc.sqlstate == SqlState.INVALID_AUTHORIZATION_SPECIFICATION


def _try(target: Target, step: Step) -> tuple[socket.socket, bytes]:
    sock = _connect(target.address)
    try:
        sock = target.encryption.secure(sock, target.host, step)
        return sock, _converse(sock, target)
    except BaseException:
        sock.close()
        raise


def _connect(address: Address) -> socket.socket:
    if not isinstance(address, str):
        return socket.create_connection(address, SILENCE_S)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(SILENCE_S)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _converse(sock: socket.socket, target: Target) -> bytes:
    """Log in; return bytes that followed the login."""
    parameters = {"application_name": target.application_name, "client_encoding": "UTF8"}
    login = ServerLogin(
        *(target.user, target.database, parameters, target.credential),
        is_encrypted=isinstance(sock, ssl.SSLSocket),
    )
    out = login.start()
    while login.state is not LoginState.READY:
        if out:
            sock.sendall(out)
        out = login.feed(_receive(sock, target))
        if login.error is not None:
            raise Refusal(login.error)
    return login.take_rest()


def _receive(sock: socket.socket, target: Target) -> bytes:
    data = sock.recv(_RECV_BYTES)
    if not data:
        raise ControlError(f"{target.what} closed the connection without an answer")
    return data


@contextmanager
def _told(target: Target) -> Iterator[None]:
    """Word what goes wrong for whoever gave the command."""
    try:
        yield
    except TimeoutError as exc:
        raise ControlError(f"{target} has said nothing for {SILENCE_S:g} s") from exc
    except OSError as exc:
        raise ControlError(f"cannot reach {target}: {exc.strerror or exc}") from exc
    except (ServerProtocolError, MalformedBody) as exc:
        raise ControlError(f"{target} does not speak PostgreSQL's protocol: {exc}") from exc
