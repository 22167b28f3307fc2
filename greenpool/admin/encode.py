"""Rows to RowDescription and DataRow, each column in the format that the client asked for.

`protocol.backend` builds the same messages for text alone; drivers that speak the extended
protocol ask for binary integers.
Source: "Message Formats"; the binary forms are those of the types' send functions.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum

from greenpool.admin.result import Row, Value
from greenpool.protocol.backend import BOOL, INT4, INT8, NUMERIC, OID, Column, ColumnType
from greenpool.protocol.message import BackendType, build, cstring, encode_text


class Format(IntEnum):
    """The format code of a column or a parameter."""

    TEXT = 0
    BINARY = 1


_I16 = struct.Struct("!h")
_I32 = struct.Struct("!i")
_I64 = struct.Struct("!q")
_COLUMN = struct.Struct("!IhIhih")
_INTEGERS: dict[ColumnType, struct.Struct] = {
    BOOL: struct.Struct("!B"),
    INT4: _I32,
    INT8: _I64,
    OID: struct.Struct("!I"),
}
_NUMERIC = struct.Struct("!hhHh")
_NUMERIC_MINUS = 0x4000
_NUMERIC_BASE = 10_000
_NULL = _I32.pack(-1)


def row_description(columns: Sequence[Column], formats: Sequence[Format]) -> bytes:
    """Build RowDescription for columns that belong to no table."""
    fields = (
        cstring(column.name) + _COLUMN.pack(0, 0, column.type.oid, column.type.size_bytes, -1, code)
        for column, code in zip(columns, formats, strict=True)
    )
    return build(BackendType.ROW_DESCRIPTION, _I16.pack(len(columns)) + b"".join(fields))


def data_row(columns: Sequence[Column], formats: Sequence[Format], row: Row) -> bytes:
    """Build DataRow; None is NULL."""
    data = (
        _datum(column.type, code, value)
        for column, code, value in zip(columns, formats, row, strict=True)
    )
    return build(BackendType.DATA_ROW, _I16.pack(len(columns)) + b"".join(data))


def _datum(kind: ColumnType, code: Format, value: Value) -> bytes:
    if value is None:
        return _NULL
    if code is Format.BINARY and isinstance(value, int):
        data = _numeric(value) if kind is NUMERIC else _INTEGERS[kind].pack(value)
    elif isinstance(value, bool):
        data = b"t" if value else b"f"
    else:
        data = encode_text(str(value))
    return _I32.pack(len(data)) + data


def _numeric(value: int) -> bytes:
    """Write an integer as a numeric: digits to the base of 10,000, without zeros at the end."""
    digits: list[int] = []
    rest = abs(value)
    while rest:
        rest, digit = divmod(rest, _NUMERIC_BASE)
        digits.append(digit)
    weight = max(0, len(digits) - 1)
    digits.reverse()
    while digits and not digits[-1]:
        digits.pop()
    sign = _NUMERIC_MINUS if value < 0 else 0
    return _NUMERIC.pack(len(digits), weight, sign, 0) + struct.pack(f"!{len(digits)}H", *digits)
