"""A cursor over a message body: every read is bounded, nothing past the end is ever seen.

Law: bodies are opened here only. What is wrong with one is worded as PostgreSQL words it in
`pqformat.c`; which side is to blame is for the caller to say, who knows where the bytes came from.
"""

from __future__ import annotations

from greenpool.errors import GreenpoolError
from greenpool.protocol.message import decode_text


class MalformedBody(GreenpoolError):
    """A body that does not hold what its message type promises."""


class Body:
    """Read a body front to back; `end()` states that nothing may be left."""

    __slots__ = ("_data", "_pos")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pos = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._pos

    def take(self, count: int) -> bytes:
        """Read exactly `count` bytes. Raises: MalformedBody."""
        if count < 0 or count > self.left:
            raise MalformedBody("insufficient data left in message")
        start = self._pos
        self._pos += count
        return self._data[start : self._pos]

    def u8(self) -> int:
        """Read one unsigned byte. Raises: MalformedBody."""
        return self.take(1)[0]

    def u16(self) -> int:
        """Read a 16-bit unsigned integer. Raises: MalformedBody."""
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        """Read a 32-bit unsigned integer. Raises: MalformedBody."""
        return int.from_bytes(self.take(4), "big")

    def i32(self) -> int:
        """Read a 32-bit signed integer. Raises: MalformedBody."""
        return int.from_bytes(self.take(4), "big", signed=True)

    def cstring(self) -> str:
        """Read a zero-terminated string. Raises: MalformedBody."""
        end = self._data.find(b"\0", self._pos)
        if end < 0:
            raise MalformedBody("invalid string in message")
        text = decode_text(self._data[self._pos : end])
        self._pos = end + 1
        return text

    def rest(self) -> bytes:
        """Read all that is left."""
        return self.take(self.left)

    def end(self) -> None:
        """Check that the body was read completely. Raises: MalformedBody."""
        if self.left:
            raise MalformedBody("invalid message format")
