"""What a server says to one Query, message by message; sans I/O. Partner: `inquiry.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from greenpool.errors import ServerProtocolError
from greenpool.protocol.backend import FLOAT8, INT4, INT8, NUMERIC, TEXT, Column
from greenpool.protocol.body import Body
from greenpool.protocol.errors import ErrorFields
from greenpool.protocol.message import BackendType, Message, decode_text

_TYPES = {kind.oid: kind for kind in (TEXT, INT4, INT8, NUMERIC, FLOAT8)}


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and the rows' values as they came, all text; None is NULL."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str | None, ...], ...]


class Answer:
    """The answer to one Query, as far as it has come."""

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
    BackendType.PARAMETER_STATUS: Answer._on_nothing_new,
    BackendType.ERROR_RESPONSE: Answer._on_error,
    BackendType.READY_FOR_QUERY: Answer._on_ready,
}


def _column(body: Body) -> Column:
    name = body.cstring()
    body.take(6)  # table and column that it comes from
    kind = _TYPES.get(body.u32(), TEXT)
    body.take(8)  # the type's size and modifier, the format
    return Column(name, kind)


def _value(body: Body) -> str | None:
    length = body.i32()
    return None if length == -1 else decode_text(body.take(length))
