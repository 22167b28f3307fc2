"""What greenpool says as a frontend: to PostgreSQL when it logs in, cancels or asks.

Values to bytes, nothing else. Partner: `backend.py`. Source: "Message Formats".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from greenpool.protocol.message import FrontendType, build, cstring, encode_text

PROTOCOL_3_0 = 3 << 16
PROTOCOL_3_2 = (3 << 16) | 2
CANCEL_REQUEST_CODE = (1234 << 16) | 5678
SSL_REQUEST_CODE = (1234 << 16) | 5679
GSSENC_REQUEST_CODE = (1234 << 16) | 5680

MIN_CANCEL_KEY_BYTES = 4
MAX_CANCEL_KEY_BYTES = 256
"""Bounds of a cancel key since protocol 3.2; 3.0 has exactly the minimum."""

_U16 = struct.Struct("!H")
_U32 = struct.Struct("!I")
_I32 = struct.Struct("!i")


def startup_message(parameters: Mapping[str, str], version: int = PROTOCOL_3_0) -> bytes:
    """Build a StartupMessage; `parameters` in sending order, `user` among them."""
    pairs = b"".join(cstring(name) + cstring(value) for name, value in parameters.items())
    return _untyped(version, pairs + b"\0")


def cancel_request(backend_pid: int, cancel_key: bytes) -> bytes:
    """Build a CancelRequest. The key is matched byte for byte, whatever its length."""
    return _untyped(CANCEL_REQUEST_CODE, _U32.pack(backend_pid) + cancel_key)


def ssl_request() -> bytes:
    """Build an SSLRequest."""
    return _untyped(SSL_REQUEST_CODE)


def gssenc_request() -> bytes:
    """Build a GSSENCRequest."""
    return _untyped(GSSENC_REQUEST_CODE)


def password_message(password: str) -> bytes:
    """Build a PasswordMessage: a password, or the answer to an MD5 challenge."""
    return build(FrontendType.PASSWORD_MESSAGE, cstring(password))


def sasl_initial_response(mechanism: str, data: bytes) -> bytes:
    """Build a SASLInitialResponse that carries the mechanism's first message."""
    body = cstring(mechanism) + _I32.pack(len(data)) + data
    return build(FrontendType.SASL_INITIAL_RESPONSE, body)


def sasl_response(data: bytes) -> bytes:
    """Build a SASLResponse."""
    return build(FrontendType.SASL_RESPONSE, data)


def query(sql: str) -> bytes:
    """Build a simple Query."""
    return build(FrontendType.QUERY, cstring(sql))


def extended_query(sql: str, *arguments: str) -> bytes:
    """Build Parse, Bind, Describe, Execute and Sync of one query; its arguments are texts."""
    values = b"".join(_I32.pack(len(data)) + data for data in map(encode_text, arguments))
    bind = _U16.pack(len(arguments)) + values
    no_types = no_formats = _U16.pack(0)
    return b"".join(
        (
            build(FrontendType.PARSE, cstring("") + cstring(sql) + no_types),
            build(FrontendType.BIND, cstring("") * 2 + no_formats + bind + no_formats),
            build(FrontendType.DESCRIBE, b"P" + cstring("")),
            build(FrontendType.EXECUTE, cstring("") + _U32.pack(0)),
            build(FrontendType.SYNC),
        )
    )


def terminate() -> bytes:
    """Build a Terminate."""
    return build(FrontendType.TERMINATE)


def _untyped(code: int, body: bytes = b"") -> bytes:
    """Build a packet of the startup phase, which has no type byte."""
    return _U32.pack(8 + len(body)) + _U32.pack(code) + body
