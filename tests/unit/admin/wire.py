"""Messages of a frontend, and answers in a form that reads well in a test."""

from __future__ import annotations

import struct

from greenpool.protocol import frontend
from greenpool.protocol.errors import ErrorFields, Field
from greenpool.protocol.frame import FrameReader
from greenpool.protocol.message import BackendType, FrontendType, Message, build, cstring

B, F = BackendType, FrontendType


def query(sql: str) -> bytes:
    return frontend.query(sql)


def parse(sql: str, name: str = "", types: int = 0) -> bytes:
    body = cstring(name) + cstring(sql) + struct.pack("!H", types) + b"\0\0\0\x17" * types
    return build(F.PARSE, body)


def bind(
    name: str = "", portal: str = "", formats: tuple[int, ...] = (), parameters: int = 0
) -> bytes:
    values = struct.pack("!HH", 0, parameters) + b"\xff\xff\xff\xff" * parameters
    codes = struct.pack(f"!H{len(formats)}H", len(formats), *formats)
    return build(F.BIND, cstring(portal) + cstring(name) + values + codes)


def describe(kind: str, name: str = "") -> bytes:
    return build(F.DESCRIBE, kind.encode() + cstring(name))


def close(kind: str, name: str = "") -> bytes:
    return build(F.CLOSE, kind.encode() + cstring(name))


def execute(portal: str = "", limit: int = 0) -> bytes:
    return build(F.EXECUTE, cstring(portal) + struct.pack("!I", limit))


SYNC = build(F.SYNC)
FLUSH = build(F.FLUSH)
TERMINATE = build(F.TERMINATE)


def messages(data: bytes) -> list[Message]:
    """Cut an answer into messages; nothing may be left over."""
    reader = FrameReader(BackendType, 1 << 24)
    found = list(reader.feed(data))
    assert reader.pending == 0
    return found


def words(data: bytes) -> list[str]:
    """Name the messages of an answer: `Z(I)`, `C(SHOW)`, `E(42601)`, others by their letter."""
    return [_word(message) for message in messages(data)]


def rows(data: bytes) -> list[list[bytes | None]]:
    return [_values(each.body) for each in messages(data) if each.type is B.DATA_ROW]


def columns(data: bytes) -> list[tuple[str, int, int]]:
    """Read the RowDescription of an answer: names, type OIDs, format codes."""
    (body,) = (each.body for each in messages(data) if each.type is B.ROW_DESCRIPTION)
    found, pos = [], 2
    while pos < len(body):
        end = body.index(b"\0", pos)
        _, _, oid, _, _, code = struct.unpack_from("!IhIhih", body, end + 1)
        found.append((body[pos:end].decode(), oid, code))
        pos = end + 19
    return found


def _word(message: Message) -> str:
    letter: str = message.type.value.decode()
    if message.type is B.READY_FOR_QUERY:
        return f"{letter}({message.body.decode()})"
    if message.type is B.COMMAND_COMPLETE:
        return f"{letter}({message.body[:-1].decode()})"
    if message.type is B.ERROR_RESPONSE:
        fields = ErrorFields.parse(message.body)
        mark = "!" if fields.get(Field.SEVERITY) == "FATAL" else ""
        return f"{letter}({fields.sqlstate}{mark})"
    return letter


def _values(body: bytes) -> list[bytes | None]:
    found: list[bytes | None] = []
    pos = 2
    while pos < len(body):
        (length,) = struct.unpack_from("!i", body, pos)
        pos += 4
        found.append(None if length < 0 else body[pos : pos + length])
        pos += max(0, length)
    return found
