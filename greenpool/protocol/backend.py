"""What greenpool says as a backend: to its clients at login, and in the admin console.

Values to bytes, nothing else; errors and notices are in `errors.py`. Partner: `frontend.py`.
Source: "Message Formats".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from greenpool.protocol.frontend import MAX_CANCEL_KEY_BYTES, MIN_CANCEL_KEY_BYTES
from greenpool.protocol.message import (
    AuthCode,
    BackendType,
    TransactionStatus,
    build,
    cstring,
    encode_text,
)

_I16 = struct.Struct("!h")
_U32 = struct.Struct("!I")
_I32 = struct.Struct("!i")
_COLUMN = struct.Struct("!IhIhih")

MAX_COLUMNS = 1664
"""PostgreSQL's MaxTupleAttributeNumber; the wire's counter would allow 32767."""


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A data type as RowDescription names it: its OID and its size, -1 for variable."""

    oid: int
    size_bytes: int


TEXT = ColumnType(25, -1)
BOOL = ColumnType(16, 1)
INT4 = ColumnType(23, 4)
INT8 = ColumnType(20, 8)
FLOAT8 = ColumnType(701, 8)
NUMERIC = ColumnType(1700, -1)
NAME = ColumnType(19, 64)
OID = ColumnType(26, 4)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an answer of ours; its values are sent as text whatever the type."""

    name: str
    type: ColumnType = TEXT


def authentication_ok() -> bytes:
    """Build AuthenticationOk."""
    return _authentication(AuthCode.OK)


def authentication_cleartext_password() -> bytes:
    """Build AuthenticationCleartextPassword."""
    return _authentication(AuthCode.CLEARTEXT_PASSWORD)


def authentication_md5_password(salt: bytes) -> bytes:
    """Build AuthenticationMD5Password; the salt has four bytes."""
    if len(salt) != 4:
        raise ValueError("the salt of an MD5 challenge has 4 bytes")
    return _authentication(AuthCode.MD5_PASSWORD, salt)


def authentication_sasl(mechanisms: Sequence[str]) -> bytes:
    """Build AuthenticationSASL; the mechanism preferred most comes first."""
    return _authentication(AuthCode.SASL, b"".join(map(cstring, mechanisms)) + b"\0")


def authentication_sasl_continue(data: bytes) -> bytes:
    """Build AuthenticationSASLContinue."""
    return _authentication(AuthCode.SASL_CONTINUE, data)


def authentication_sasl_final(data: bytes) -> bytes:
    """Build AuthenticationSASLFinal."""
    return _authentication(AuthCode.SASL_FINAL, data)


def parameter_status(name: str, value: str) -> bytes:
    """Build ParameterStatus."""
    return build(BackendType.PARAMETER_STATUS, cstring(name) + cstring(value))


def backend_key_data(backend_pid: int, cancel_key: bytes) -> bytes:
    """Build BackendKeyData. Keys other than four bytes are for clients that speak 3.2."""
    if not MIN_CANCEL_KEY_BYTES <= len(cancel_key) <= MAX_CANCEL_KEY_BYTES:
        raise ValueError("a cancel key has 4 to 256 bytes")
    return build(BackendType.BACKEND_KEY_DATA, _U32.pack(backend_pid) + cancel_key)


def ready_for_query(status: TransactionStatus = TransactionStatus.IDLE) -> bytes:
    """Build ReadyForQuery."""
    return build(BackendType.READY_FOR_QUERY, status.value)


def negotiate_protocol_version(version: int, unrecognized: Sequence[str]) -> bytes:
    """Build NegotiateProtocolVersion: the version that will be spoken, options not understood."""
    names = b"".join(map(cstring, unrecognized))
    body = _U32.pack(version) + _U32.pack(len(unrecognized)) + names
    return build(BackendType.NEGOTIATE_PROTOCOL_VERSION, body)


def row_description(columns: Sequence[Column]) -> bytes:
    """Build RowDescription for text values that belong to no table."""
    if len(columns) > MAX_COLUMNS:
        raise ValueError(f"a row has at most {MAX_COLUMNS} columns")
    fields = (
        cstring(column.name) + _COLUMN.pack(0, 0, column.type.oid, column.type.size_bytes, -1, 0)
        for column in columns
    )
    return build(BackendType.ROW_DESCRIPTION, _I16.pack(len(columns)) + b"".join(fields))


def data_row(values: Sequence[str | None]) -> bytes:
    """Build DataRow of text values; None is NULL."""
    if len(values) > MAX_COLUMNS:
        raise ValueError(f"a row has at most {MAX_COLUMNS} columns")
    return build(BackendType.DATA_ROW, _I16.pack(len(values)) + b"".join(map(_datum, values)))


def command_complete(tag: str) -> bytes:
    """Build CommandComplete; `tag` as PostgreSQL would word it: `SHOW`, `SELECT 3`."""
    return build(BackendType.COMMAND_COMPLETE, cstring(tag))


def empty_query_response() -> bytes:
    """Build EmptyQueryResponse, the answer to a query string without a statement."""
    return build(BackendType.EMPTY_QUERY_RESPONSE)


def _authentication(code: AuthCode, data: bytes = b"") -> bytes:
    return build(BackendType.AUTHENTICATION, _U32.pack(code) + data)


def _datum(value: str | None) -> bytes:
    if value is None:
        return _I32.pack(-1)
    data = encode_text(value)
    return _I32.pack(len(data)) + data
