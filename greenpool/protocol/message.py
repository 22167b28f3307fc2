"""Message types of protocol 3 under PostgreSQL's own names, and one message as a value.

Law: the only place in Python where a type byte is written; everywhere else says
`FrontendType.QUERY`. The same byte means different things per direction (`D` is Describe from a
frontend and DataRow from a backend), hence one enum a direction.
Partners: `frame.py` (bytes -> messages), `frontend.py` and `backend.py` (values -> bytes).
Source: PostgreSQL `libpq/protocol.h`; "Message Formats".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum, IntEnum


class FrontendType(Enum):
    """Messages that a frontend sends. PASSWORD_MESSAGE and the SASL responses share a byte."""

    BIND = b"B"
    CLOSE = b"C"
    COPY_DATA = b"d"
    COPY_DONE = b"c"
    COPY_FAIL = b"f"
    DESCRIBE = b"D"
    EXECUTE = b"E"
    FLUSH = b"H"
    FUNCTION_CALL = b"F"
    PARSE = b"P"
    PASSWORD_MESSAGE = b"p"
    SASL_INITIAL_RESPONSE = b"p"
    SASL_RESPONSE = b"p"
    QUERY = b"Q"
    SYNC = b"S"
    TERMINATE = b"X"


class BackendType(Enum):
    """Messages that a backend sends. AUTHENTICATION is told apart further by `AuthCode`."""

    AUTHENTICATION = b"R"
    BACKEND_KEY_DATA = b"K"
    BIND_COMPLETE = b"2"
    CLOSE_COMPLETE = b"3"
    COMMAND_COMPLETE = b"C"
    COPY_BOTH_RESPONSE = b"W"
    COPY_DATA = b"d"
    COPY_DONE = b"c"
    COPY_IN_RESPONSE = b"G"
    COPY_OUT_RESPONSE = b"H"
    DATA_ROW = b"D"
    EMPTY_QUERY_RESPONSE = b"I"
    ERROR_RESPONSE = b"E"
    FUNCTION_CALL_RESPONSE = b"V"
    NEGOTIATE_PROTOCOL_VERSION = b"v"
    NO_DATA = b"n"
    NOTICE_RESPONSE = b"N"
    NOTIFICATION_RESPONSE = b"A"
    PARAMETER_DESCRIPTION = b"t"
    PARAMETER_STATUS = b"S"
    PARSE_COMPLETE = b"1"
    PORTAL_SUSPENDED = b"s"
    READY_FOR_QUERY = b"Z"
    ROW_DESCRIPTION = b"T"


MsgType = FrontendType | BackendType


class AuthCode(IntEnum):
    """What an Authentication message asks for: its first four body bytes."""

    OK = 0
    KERBEROS_V5 = 2
    CLEARTEXT_PASSWORD = 3
    MD5_PASSWORD = 5
    GSS = 7
    GSS_CONTINUE = 8
    SSPI = 9
    SASL = 10
    SASL_CONTINUE = 11
    SASL_FINAL = 12


class TransactionStatus(Enum):
    """The status byte of ReadyForQuery, the only truth about transactions."""

    IDLE = b"I"
    IN_TRANSACTION = b"T"
    IN_FAILED_TRANSACTION = b"E"


@dataclass(frozen=True, slots=True)
class Message:
    """One complete message: its type and its body, without type byte and length word."""

    type: MsgType
    body: bytes


HEADER_BYTES = 5
"""Type byte and length word. The wire's length counts itself (4) and the body, not the type."""

_HEADER = struct.Struct("!cI")


def build(kind: MsgType, body: bytes = b"") -> bytes:
    """Build the wire form of one message."""
    return _HEADER.pack(kind.value, 4 + len(body)) + body


def encode_text(text: str) -> bytes:
    """Encode a name or value for the wire; bytes that `decode_text` could not read come back.

    Clients speak any encoding before `client_encoding` is known, so undecodable bytes travel as
    surrogates and are never changed.
    """
    return text.encode("utf-8", "surrogateescape")


def decode_text(data: bytes) -> str:
    """Decode a name or value from the wire; the inverse of `encode_text` for every input."""
    return data.decode("utf-8", "surrogateescape")


def cstring(text: str) -> bytes:
    """Encode a zero-terminated string.

    Raises: ValueError if the text holds a zero byte, which would end the string early and turn
    the remainder into something that nobody meant to send.
    """
    data = encode_text(text)
    if b"\0" in data:
        raise ValueError("a zero byte cannot be sent inside a string")
    return data + b"\0"
