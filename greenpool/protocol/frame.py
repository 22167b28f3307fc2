"""Bytes to messages, for login phases and the admin console.

Law: a message is handed out when it is complete and lawful, one at a time, so that whoever stops
after the message that ended the login finds the bytes behind it still in the reader
(`take_rest`) and can hand them to the relay. The relay itself uses `_cparser/protocol.c`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from greenpool.errors import ClientProtocolError, ServerProtocolError
from greenpool.protocol.message import HEADER_BYTES, BackendType, FrontendType, Message

MAX_LOGIN_BODY_BYTES = 65535
"""PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH: the largest password or token that it reads."""

_LENGTH = struct.Struct("!I")


class FrameReader:
    """Cut a byte stream into messages of one direction.

    Feed it any slices; iterate `messages()` for what became complete. Memory is bounded by
    `max_body_bytes`: a larger message is refused when its header is seen, before its body is kept.
    """

    __slots__ = ("_buffer", "_kind", "_max_body_bytes")

    def __init__(
        self,
        kind: type[FrontendType] | type[BackendType],
        max_body_bytes: int = MAX_LOGIN_BODY_BYTES,
    ) -> None:
        self._kind = kind
        self._max_body_bytes = max_body_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Append bytes, return an iterator over the messages that are complete now.

        The bytes are kept even if the iterator is not used. Raises (while iterating):
        ClientProtocolError or ServerProtocolError, after which the stream is lost.
        """
        self._buffer += data
        return self.messages()

    def messages(self) -> Iterator[Message]:
        """Iterate over complete messages; each is consumed when it is handed out."""
        while (message := self._next()) is not None:
            yield message

    @property
    def pending(self) -> int:
        """Bytes received and not handed out yet."""
        return len(self._buffer)

    def take_rest(self) -> bytes:
        """Empty the reader: bytes behind the last message that was handed out."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def _next(self) -> Message | None:
        buffer = self._buffer
        if not buffer:
            return None
        kind = self._type_of(bytes(buffer[:1]))
        if len(buffer) < HEADER_BYTES:
            return None
        (length,) = _LENGTH.unpack_from(buffer, 1)
        if length < 4 or length - 4 > self._max_body_bytes:
            raise self._error(f"invalid message length {length} of {kind.name}")
        total = 1 + length
        if len(buffer) < total:
            return None
        body = bytes(buffer[HEADER_BYTES:total])
        del buffer[:total]
        return Message(kind, body)

    def _type_of(self, byte: bytes) -> FrontendType | BackendType:
        try:
            return self._kind(byte)
        except ValueError:
            side = "frontend" if self._kind is FrontendType else "backend"
            raise self._error(f"invalid {side} message type {byte[0]}") from None

    def _error(self, text: str) -> ClientProtocolError | ServerProtocolError:
        if self._kind is FrontendType:
            return ClientProtocolError(text)
        return ServerProtocolError(text)
