"""One client's talk with the console: simple and extended queries, sans I/O.

Law: message in, bytes out, in PostgreSQL's order. After an error in the extended protocol
everything up to Sync is discarded; a simple Query ends its own error. Commands of the console
are not transactional, so BEGIN only changes what ReadyForQuery says, and an error aborts nothing.
Source: "Message Flow > Simple Query", "> Extended Query".
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from greenpool.admin.console import Console
from greenpool.admin.encode import Format, data_row, row_description
from greenpool.admin.result import AdminResult, Effect, Plan, Row
from greenpool.admin.speaker import Speaker
from greenpool.errors import ClientProtocolError, ReportedError
from greenpool.protocol.backend import command_complete, empty_query_response, ready_for_query
from greenpool.protocol.body import Body, MalformedBody
from greenpool.protocol.errors import ClientError, Severity, SqlState, error_response
from greenpool.protocol.message import (
    BackendType,
    FrontendType,
    Message,
    TransactionStatus,
    build,
)

MAX_STATEMENTS = 1000
"""Prepared statements and portals that one session may hold, each: a bound for its memory."""

ROWS_PER_PIECE = 32
"""Rows that are made before the caller gets a chance to let other greenlets run."""

_PARSE_COMPLETE = build(BackendType.PARSE_COMPLETE)
_BIND_COMPLETE = build(BackendType.BIND_COMPLETE)
_CLOSE_COMPLETE = build(BackendType.CLOSE_COMPLETE)
_NO_DATA = build(BackendType.NO_DATA)
_NO_PARAMETERS = build(BackendType.PARAMETER_DESCRIPTION, b"\0\0")
_PORTAL_SUSPENDED = build(BackendType.PORTAL_SUSPENDED)

_STATEMENT = ord("S")
_PORTAL = ord("P")


class PortalError(ReportedError):
    """A client named a portal (a cursor, in SQL's words) that is not there, or is already."""

    severity: ClassVar[str] = Severity.ERROR
    default_sqlstate: ClassVar[str] = "34000"  # invalid_cursor_name


@dataclass(slots=True)
class Portal:
    """A bound statement. `rows` is None until its first Execute, then what is left of them."""

    plan: Plan
    formats: tuple[Format, ...]
    rows: Iterator[Row] | None = None


class Conversation:
    """The state of one session: its prepared statements, its portals, its error window."""

    __slots__ = (
        "_console",
        "_is_skipping",
        "_portals",
        "_speaker",
        "_statements",
        "is_over",
        "status",
    )

    def __init__(self, console: Console, speaker: Speaker) -> None:
        self._console = console
        self._speaker = speaker
        self._statements: dict[str, Plan] = {}
        self._portals: dict[str, Portal] = {}
        self._is_skipping = False  # from an error in the extended protocol to Sync
        self.status = TransactionStatus.IDLE
        self.is_over = False  # Terminate came

    def receive(self, message: Message) -> Generator[bytes, None, None]:
        """Answer one message, in pieces; the answer is complete when they are used up.

        An empty piece: a command is not over; look again a little later, or never.

        Raises: ClientProtocolError for a message that has no place here; whatever FATAL error
        somebody raises in this greenlet to end the session.
        """
        handler = _HANDLERS.get(message.type)
        if handler is None:
            raise ClientProtocolError(f"invalid frontend message type {ord(message.type.value)}")
        if self._is_skipping and message.type not in _NEVER_SKIPPED:
            return
        body = Body(message.body)
        try:
            yield from handler(self, body)
        except MalformedBody as exc:
            yield from self._fail(message, _error(SqlState.PROTOCOL_VIOLATION, str(exc)))
        except ReportedError as exc:
            if exc.severity == Severity.FATAL:
                raise
            yield from self._fail(message, exc)

    def _fail(self, message: Message, error: ReportedError) -> Iterator[bytes]:
        yield error_response(error)
        if message.type in _ENDS_WITH_READY:
            yield ready_for_query(self.status)
        else:
            self._is_skipping = True

    # ---- simple -----------------------------------------------------------------------------

    def _query(self, body: Body) -> Iterator[bytes]:
        sql = body.cstring()
        body.end()
        self._statements.pop("", None)
        self._portals.pop("", None)
        plans = self._console.plans(sql, self._speaker)
        if not plans:
            yield empty_query_response()
        for plan in plans:
            formats = (Format.TEXT,) * len(plan.columns)
            if plan.columns:
                yield row_description(plan.columns, formats)
            result = plan.run()
            yield from _until_done(result)
            count = yield from _rows(plan, formats, iter(result.rows))
            yield self._complete(plan, count)
        if self.status is TransactionStatus.IDLE:
            self._portals.clear()
        yield ready_for_query(self.status)

    def _function_call(self, body: Body) -> Iterator[bytes]:
        raise _error(SqlState.FEATURE_NOT_SUPPORTED, "the admin console has no functions")

    # ---- extended ---------------------------------------------------------------------------

    def _parse(self, body: Body) -> Iterator[bytes]:
        name, sql = body.cstring(), body.cstring()
        body.take(4 * body.u16())  # types of parameters that no statement here has
        body.end()
        if name and name in self._statements:
            message = f'prepared statement "{name}" already exists'
            raise _error(SqlState.DUPLICATE_PREPARED_STATEMENT, message)
        _check_room(self._statements, name, "prepared statements")
        self._statements.pop(name, None)
        self._statements[name] = self._console.plan(sql, self._speaker)
        yield _PARSE_COMPLETE

    def _bind(self, body: Body) -> Iterator[bytes]:
        portal, name = body.cstring(), body.cstring()
        body.take(2 * body.u16())  # formats of parameters
        parameters = body.u16()
        plan = self._plan(name)
        if parameters:
            message = (
                f"bind message supplies {parameters} parameters, "
                f'but prepared statement "{name}" requires 0'
            )
            raise _error(SqlState.PROTOCOL_VIOLATION, message)
        codes = [body.u16() for _ in range(body.u16())]
        body.end()
        if portal and portal in self._portals:
            raise PortalError(f'cursor "{portal}" already exists', sqlstate="42P03")
        _check_room(self._portals, portal, "portals")
        self._portals[portal] = Portal(plan, _formats(codes, len(plan.columns)))
        yield _BIND_COMPLETE

    def _describe(self, body: Body) -> Iterator[bytes]:
        kind, name = _target(body)
        if kind == _STATEMENT:
            plan = self._plan(name)
            formats = (Format.TEXT,) * len(plan.columns)
            yield _NO_PARAMETERS
        else:
            portal = self._portal(name)
            plan, formats = portal.plan, portal.formats
        yield row_description(plan.columns, formats) if plan.columns else _NO_DATA

    def _execute(self, body: Body) -> Iterator[bytes]:
        name, limit = body.cstring(), body.u32()
        body.end()
        portal = self._portal(name)
        plan = portal.plan
        if not plan.tag:
            yield empty_query_response()
            return
        if portal.rows is None:
            result = plan.run()
            yield from _until_done(result)
            portal.rows = iter(result.rows)
        elif not plan.columns:
            raise _error(SqlState.OBJECT_NOT_IN_PREREQUISITE_STATE, "portal cannot be run again")
        is_limited = 0 < limit < 1 << 31
        rows = islice(portal.rows, limit) if is_limited else portal.rows
        count = yield from _rows(plan, portal.formats, rows)
        if is_limited and count == limit:
            yield _PORTAL_SUSPENDED
        else:
            yield self._complete(plan, count)

    def _close(self, body: Body) -> Iterator[bytes]:
        kind, name = _target(body)
        if kind == _STATEMENT:
            self._statements.pop(name, None)
        else:
            self._portals.pop(name, None)
        yield _CLOSE_COMPLETE

    def _sync(self, body: Body) -> Iterator[bytes]:
        body.end()
        self._is_skipping = False
        if self.status is TransactionStatus.IDLE:
            self._portals.clear()
        yield ready_for_query(self.status)

    def _ignore(self, body: Body) -> Iterator[bytes]:
        """Take Flush (nothing is ever held back) and the end of a COPY that has failed."""
        return iter(())

    def _terminate(self, body: Body) -> Iterator[bytes]:
        self.is_over = True
        return iter(())

    # ---- below ------------------------------------------------------------------------------

    def _plan(self, name: str) -> Plan:
        if name in self._statements:
            return self._statements[name]
        what = f'prepared statement "{name}"' if name else "unnamed prepared statement"
        raise _error(SqlState.INVALID_SQL_STATEMENT_NAME, f"{what} does not exist")

    def _portal(self, name: str) -> Portal:
        if name in self._portals:
            return self._portals[name]
        raise PortalError(f'portal "{name}" does not exist')

    def _complete(self, plan: Plan, rows: int) -> bytes:
        """Carry out what a statement does to the session, and say that it is done."""
        if plan.effect is Effect.BEGIN:
            self.status = TransactionStatus.IN_TRANSACTION
        elif plan.effect is Effect.END:
            self.status = TransactionStatus.IDLE
        elif plan.effect is Effect.DEALLOCATE and not plan.name:
            self._statements.clear()
        elif plan.effect is Effect.DEALLOCATE:
            self._plan(plan.name)
            del self._statements[plan.name]
        return command_complete(plan.complete(rows))


Handler = Callable[[Conversation, Body], Iterator[bytes]]

_HANDLERS: Mapping[object, Handler] = {
    FrontendType.QUERY: Conversation._query,
    FrontendType.FUNCTION_CALL: Conversation._function_call,
    FrontendType.PARSE: Conversation._parse,
    FrontendType.BIND: Conversation._bind,
    FrontendType.DESCRIBE: Conversation._describe,
    FrontendType.EXECUTE: Conversation._execute,
    FrontendType.CLOSE: Conversation._close,
    FrontendType.SYNC: Conversation._sync,
    FrontendType.FLUSH: Conversation._ignore,
    FrontendType.COPY_DATA: Conversation._ignore,
    FrontendType.COPY_DONE: Conversation._ignore,
    FrontendType.COPY_FAIL: Conversation._ignore,
    FrontendType.TERMINATE: Conversation._terminate,
}
_NEVER_SKIPPED = frozenset((FrontendType.SYNC, FrontendType.TERMINATE))
_ENDS_WITH_READY = frozenset((FrontendType.QUERY, FrontendType.FUNCTION_CALL))


def _error(sqlstate: SqlState, message: str) -> ClientError:
    return ClientError(Severity.ERROR, sqlstate, message)


def _check_room(held: Mapping[str, object], name: str, what: str) -> None:
    if name not in held and len(held) >= MAX_STATEMENTS:
        message = f"too many {what} (limit {MAX_STATEMENTS})"
        raise _error(SqlState.CONFIGURATION_LIMIT_EXCEEDED, message)


def _target(body: Body) -> tuple[int, str]:
    """Read what Describe and Close name: a prepared statement or a portal."""
    kind, name = body.u8(), body.cstring()
    body.end()
    if kind not in (_STATEMENT, _PORTAL):
        raise MalformedBody(f"invalid message subtype {kind}")
    return kind, name


def _formats(codes: list[int], columns: int) -> tuple[Format, ...]:
    """Spread the format codes of a Bind over the columns: none is all text, one is for all."""
    if any(code not in (Format.TEXT, Format.BINARY) for code in codes):
        message = f"unsupported format code: {max(codes)}"
        raise _error(SqlState.INVALID_PARAMETER_VALUE, message)
    if len(codes) <= 1:
        return (Format(codes[0]) if codes else Format.TEXT,) * columns
    if len(codes) != columns:
        message = f"bind message has {len(codes)} result formats but query has {columns} columns"
        raise _error(SqlState.PROTOCOL_VIOLATION, message)
    return tuple(Format(code) for code in codes)


def _until_done(result: AdminResult) -> Iterator[bytes]:
    while not result.is_done():
        yield b""


def _rows(
    plan: Plan, formats: tuple[Format, ...], rows: Iterator[Row]
) -> Generator[bytes, None, int]:
    """Make DataRows, some at a time; return how many there were."""
    count = 0
    while some := list(islice(rows, ROWS_PER_PIECE)):
        yield b"".join(data_row(plan.columns, formats, row) for row in some)
        count += len(some)
    return count
