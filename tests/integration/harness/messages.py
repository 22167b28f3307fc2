"""Frontend messages as bytes, for tests that speak the protocol themselves.

Written from the protocol's description and not from greenpool's own builders, so that an error
there cannot hide here. Source: PostgreSQL, "Message Formats".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

PROTOCOL_3_0 = 3 << 16
PROTOCOL_3_2 = 3 << 16 | 2

_CANCEL_CODE = 1234 << 16 | 5678
_SSL_CODE = 1234 << 16 | 5679
_GSSENC_CODE = 1234 << 16 | 5680


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def startup(parameters: Mapping[str, str], version: int = PROTOCOL_3_0) -> bytes:
    pairs = b"".join(_string(name) + _string(value) for name, value in parameters.items())
    return _untyped(struct.pack("!I", version) + pairs + b"\0")


def ssl_request() -> bytes:
    return _untyped(struct.pack("!I", _SSL_CODE))


def gssenc_request() -> bytes:
    return _untyped(struct.pack("!I", _GSSENC_CODE))


def cancel_request(backend_key: bytes) -> bytes:
    """Build it from the body of BackendKeyData: pid and key, of whatever length."""
    return _untyped(struct.pack("!I", _CANCEL_CODE) + backend_key)


def password(secret: bytes) -> bytes:
    """Build PasswordMessage or SASLResponse; a cleartext or md5 secret ends in a zero byte."""
    return message(b"p", secret)


def sasl_initial_response(mechanism: str, data: bytes) -> bytes:
    return message(b"p", _string(mechanism) + struct.pack("!i", len(data)) + data)


def query(sql: str) -> bytes:
    return message(b"Q", _string(sql))


def parse(sql: str, name: str = "", types: Sequence[int] = ()) -> bytes:
    oids = struct.pack(f"!H{len(types)}I", len(types), *types)
    return message(b"P", _string(name) + _string(sql) + oids)


def bind(values: Sequence[bytes | None] = (), statement: str = "", portal: str = "") -> bytes:
    """Build a Bind whose values and results are all in text format."""
    body = _string(portal) + _string(statement) + struct.pack("!HH", 0, len(values))
    return message(b"B", body + b"".join(_value(each) for each in values) + struct.pack("!H", 0))


def describe(kind: bytes = b"P", name: str = "") -> bytes:
    return message(b"D", kind + _string(name))


def execute(portal: str = "", max_rows: int = 0) -> bytes:
    return message(b"E", _string(portal) + struct.pack("!I", max_rows))


def close(kind: bytes, name: str = "") -> bytes:
    return message(b"C", kind + _string(name))


def sync() -> bytes:
    return message(b"S")


def flush() -> bytes:
    return message(b"H")


def terminate() -> bytes:
    return message(b"X")


def function_call(oid: int, arguments: Sequence[bytes | None]) -> bytes:
    body = struct.pack("!IHH", oid, 0, len(arguments))
    return message(b"F", body + b"".join(_value(each) for each in arguments) + struct.pack("!H", 0))


def copy_data(data: bytes) -> bytes:
    return message(b"d", data)


def copy_done() -> bytes:
    return message(b"c")


def copy_fail(reason: str) -> bytes:
    return message(b"f", _string(reason))


def extended(sql: str, values: Sequence[bytes | None] = ()) -> bytes:
    """Build the usual round: Parse, Bind, Describe, Execute, Sync, all unnamed."""
    return parse(sql) + bind(values) + describe() + execute() + sync()


def _untyped(body: bytes) -> bytes:
    return struct.pack("!I", len(body) + 4) + body


def _string(text: str) -> bytes:
    return text.encode() + b"\0"


def _value(value: bytes | None) -> bytes:
    return struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
