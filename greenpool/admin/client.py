"""Ask the console of a running greenpool, as one of its clients: what `greenpool show` does.

    address of the configuration -> connect -> log in -> Query -> rows, or the console's own error

Law: blocking, over a plain socket, in the process of a command; no driver is needed. Every read
and write has a deadline. Partners: `session.py`, the other end; `auth.server_login`, the login.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import ClassVar

from greenpool.admin.table import Table
from greenpool.auth.secret import (
    Credential,
    PlainPassword,
    PlainSecret,
    ScramSecret,
    prepare_secret,
)
from greenpool.auth.server_login import LoginState, ServerLogin
from greenpool.config import Config, General
from greenpool.errors import ControlError, ExitCode, ServerProtocolError
from greenpool.protocol import frontend
from greenpool.protocol.backend import INT4, INT8, NUMERIC, TEXT, Column
from greenpool.protocol.body import Body, MalformedBody
from greenpool.protocol.errors import ErrorFields, SqlState
from greenpool.protocol.frame import FrameReader
from greenpool.protocol.message import BackendType, Message, decode_text

DATABASE = "greenpool"
SILENCE_S = 10.0
"""Seconds without a byte after which greenpool is given up: it answers in milliseconds."""

_TYPES = {kind.oid: kind for kind in (TEXT, INT4, INT8, NUMERIC)}
_MAX_BODY_BYTES = 1 << 20
_RECV_BYTES = 65536

Address = str | tuple[str, int]


class ConsoleError(ControlError):
    """The console's own error, in its own words."""

    def __init__(self, error: ErrorFields) -> None:
        hint = f"\nHINT:  {error.hint}" if error.hint else ""
        super().__init__(f"{error.message}{hint}")


class UnknownStatement(ConsoleError):
    """The console does not know what it was asked for."""

    exit_code: ClassVar[ExitCode] = ExitCode.USAGE


def show(config: Config, what: str) -> Table:
    """Run SHOW `what` at the greenpool that runs by this configuration.

    Raises: ConsoleError with the console's words, ControlError when nobody answers.
    """
    general = config.general
    credential = _credential(general)
    address = address_of(general)
    try:
        with _connect(address) as sock:
            return _ask(sock, general.admin_username, credential, statement(what))
    except TimeoutError as exc:
        text = f"greenpool at {_named(address)} has said nothing for {SILENCE_S:g} s"
        raise ControlError(text) from exc
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise ControlError(f"cannot reach greenpool at {_named(address)}: {reason}") from exc
    except (ServerProtocolError, MalformedBody) as exc:
        raise ControlError(f"what answers at {_named(address)} is no greenpool: {exc}") from exc


def address_of(general: General) -> Address:
    """Return where the console is reached: the UNIX socket's path, or the first host and port."""
    if general.unix_socket_dir is not None:
        return str(general.unix_socket_dir / f".s.PGSQL.{general.port}")
    host = ip_address(general.host[0])
    if host.is_unspecified:
        return ("127.0.0.1" if host.version == 4 else "::1"), general.port
    return str(host), general.port


def statement(what: str) -> str:
    """Make the one statement; whatever `what` is, it is the name of what to show."""
    quoted = what.replace('"', '""')
    return f'SHOW "{quoted}"'


class Answer:
    """What the console says to one Query, message by message; sans I/O."""

    __slots__ = ("_columns", "_rows", "error", "is_complete")

    def __init__(self) -> None:
        self.is_complete = False
        self.error: ErrorFields | None = None
        self._columns: tuple[Column, ...] = ()
        self._rows: list[tuple[str | None, ...]] = []

    def take(self, message: Message) -> None:
        """Take the next message. Raises: ServerProtocolError, MalformedBody."""
        handler = _HANDLERS.get(message.type)
        if handler is None:
            raise ServerProtocolError(f"unexpected {message.type.name} after a query")
        handler(self, Body(message.body))

    def table(self) -> Table:
        """Return columns and rows."""
        return Table(self._columns, tuple(self._rows))

    def _on_columns(self, body: Body) -> None:
        self._columns = tuple(_column(body) for _ in range(body.u16()))
        body.end()

    def _on_row(self, body: Body) -> None:
        row = tuple(_value(body) for _ in range(body.u16()))
        body.end()
        if len(row) != len(self._columns):
            raise ServerProtocolError(f"{len(row)} values for {len(self._columns)} columns")
        self._rows.append(row)

    def _on_error(self, body: Body) -> None:
        self.error = ErrorFields.parse(body.rest())

    def _on_ready(self, _body: Body) -> None:
        self.is_complete = True

    def _on_nothing_new(self, _body: Body) -> None:
        """Pass over what adds nothing to the rows."""


_HANDLERS: Mapping[object, Callable[[Answer, Body], None]] = {
    BackendType.ROW_DESCRIPTION: Answer._on_columns,
    BackendType.DATA_ROW: Answer._on_row,
    BackendType.COMMAND_COMPLETE: Answer._on_nothing_new,
    BackendType.NOTICE_RESPONSE: Answer._on_nothing_new,
    BackendType.ERROR_RESPONSE: Answer._on_error,
    BackendType.READY_FOR_QUERY: Answer._on_ready,
}


def _credential(general: General) -> Credential | None:
    """Return what the admin logs in with. Raises: ControlError when it cannot be had."""
    password = general.admin_password
    if not password:
        return None
    secret = prepare_secret(password, general.admin_username, b"")
    if isinstance(secret, ScramSecret):
        raise ControlError(
            "general.admin_password is a SCRAM secret, which proves nothing by itself; "
            "log in to the console with psql and the password"
        )
    return PlainPassword(secret.password) if isinstance(secret, PlainSecret) else secret


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


def _ask(sock: socket.socket, user: str, credential: Credential | None, sql: str) -> Table:
    early = _log_in(sock, user, credential)
    sock.sendall(frontend.query(sql))
    reader, answer = FrameReader(BackendType, _MAX_BODY_BYTES), Answer()
    messages = reader.feed(early)
    while not answer.is_complete:
        for message in messages:
            answer.take(message)
        if answer.error is not None:
            raise _refusal(answer.error)
        if not answer.is_complete:
            messages = reader.feed(_receive(sock))
    sock.sendall(frontend.terminate())
    return answer.table()


def _log_in(sock: socket.socket, user: str, credential: Credential | None) -> bytes:
    """Log in; return bytes that followed the login."""
    login = ServerLogin(user, DATABASE, {"application_name": "greenpool show"}, credential)
    out = login.start()
    while login.state is not LoginState.READY:
        if out:
            sock.sendall(out)
        out = login.feed(_receive(sock))
        if login.error is not None:
            raise ConsoleError(login.error)
    return login.take_rest()


def _receive(sock: socket.socket) -> bytes:
    data = sock.recv(_RECV_BYTES)
    if not data:
        raise ControlError("greenpool closed the connection without an answer")
    return data


def _refusal(error: ErrorFields) -> ConsoleError:
    is_unknown = error.sqlstate == SqlState.SYNTAX_ERROR
    return UnknownStatement(error) if is_unknown else ConsoleError(error)


def _named(address: Address) -> str:
    return f'"{address}"' if isinstance(address, str) else f"{address[0]} port {address[1]}"


def _column(body: Body) -> Column:
    name = body.cstring()
    body.take(6)  # table and column that it comes from
    kind = _TYPES.get(body.u32(), TEXT)
    body.take(8)  # the type's size and modifier, the format
    return Column(name, kind)


def _value(body: Body) -> str | None:
    length = body.i32()
    return None if length == -1 else decode_text(body.take(length))
