"""As wire.py, for asyncio: many clients of one process that speak the protocol themselves.

speaker = await Speaker.connect(dsn)
answer = await speaker.ask(messages.query("select 1"))
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from socket import SO_LINGER, SOL_SOCKET
from typing import Self

from psycopg.conninfo import conninfo_to_dict

from tests.integration.harness import messages
from tests.integration.harness.login import answers
from tests.integration.harness.wire import Message

DEADLINE_S = 30.0
_RESET = struct.pack("ii", 1, 0)


class Speaker:
    """Own one connection. `backend_key` is the body of BackendKeyData."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.backend_key = b""
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, dsn: str) -> Self:
        """Connect and log in; with `sslmode=require` in TLS, whoever answers."""
        wanted = {name: str(value) for name, value in conninfo_to_dict(dsn).items()}
        self = await cls._open(wanted["host"], int(wanted["port"]))
        if wanted.get("sslmode") == "require":
            await self._encrypt()
        await self._log_in(wanted["user"], wanted["password"], wanted["dbname"])
        return self

    @property
    def port(self) -> int:
        """Return the port of its own end."""
        port: int = self._writer.get_extra_info("sockname")[1]
        return port

    def send(self, *parts: bytes) -> None:
        self._writer.write(b"".join(parts))

    async def read(self) -> Message:
        kind, length = struct.unpack("!cI", await self._reader.readexactly(5))
        return Message(kind, await self._reader.readexactly(length - 4))

    async def read_until(self, kind: bytes) -> list[Message]:
        """Read up to and with the first message of that type. Raises: TimeoutError."""
        found: list[Message] = []
        async with asyncio.timeout(DEADLINE_S):
            while not found or found[-1].kind != kind:
                found.append(await self.read())
        return found

    async def ask(self, *parts: bytes) -> list[Message]:
        """Send, and read up to ReadyForQuery."""
        self.send(*parts)
        return await self.read_until(b"Z")

    async def cancel(self) -> None:
        """Have what it asked cancelled. After this the request can hit nothing any more."""
        other = await self._open(*self._writer.get_extra_info("peername")[:2])
        other.send(messages.cancel_request(self.backend_key))
        async with asyncio.timeout(DEADLINE_S):
            assert await other._reader.read() == b""
        await other.close()

    async def close(self) -> None:
        """Leave with a word."""
        self.send(messages.terminate())
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:  # the other side was faster
            return

    def abort(self) -> None:
        """Reset the connection: a mere end of the stream may be half a close, which has time."""
        self._writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
        self._writer.transport.abort()

    @classmethod
    async def _open(cls, host: str, port: int) -> Self:
        return cls(*await asyncio.open_connection(host, port))

    async def _encrypt(self) -> None:
        self.send(messages.ssl_request())
        answer = await self._reader.readexactly(1)
        assert answer == b"S", f"SSLRequest was answered {answer!r}"
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        await self._writer.start_tls(context)

    async def _log_in(self, user: str, password: str, database: str) -> None:
        self.send(messages.startup({"user": user, "database": database}))
        answer = answers(user, password)
        next(answer)
        while True:
            received = await self.read()
            assert received.kind == b"R", f"login refused: {received}"
            try:
                self.send(answer.send(received.body))
            except StopIteration:
                break
        greeting = await self.read_until(b"Z")
        self.backend_key = next(each.body for each in greeting if each.kind == b"K")
