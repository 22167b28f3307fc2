"""A client that speaks bytes: sends what a test says, reads messages with a deadline.

with Wire.connect(pooler.host, pooler.port) as wire:
    wire.login("app", "app")
    wire.send(messages.parse("select $1::int"), messages.flush())
    assert wire.read().kind == b"1"
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.integration.harness import messages
from tests.integration.harness.login import answers
from tests.integration.harness.programs import PASSWORD
from tests.integration.harness.waiting import DEADLINE_S

_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Message:
    """Hold one backend message: its type byte and its body without the length."""

    kind: bytes
    body: bytes

    @property
    def fields(self) -> dict[str, str]:
        """Read an ErrorResponse or NoticeResponse: {"S": "ERROR", "C": "42601", "M": ...}."""
        assert self.kind in (b"E", b"N"), f"{self.kind!r} has no fields"
        parts = self.body.split(b"\0")
        return {part[:1].decode(): part[1:].decode() for part in parts if part}

    @property
    def values(self) -> list[bytes | None]:
        """Read a DataRow."""
        assert self.kind == b"D", f"{self.kind!r} has no values"
        (count,) = struct.unpack_from("!H", self.body)
        found: list[bytes | None] = []
        at = 2
        for _ in range(count):
            (length,) = struct.unpack_from("!i", self.body, at)
            at += 4
            found.append(None if length < 0 else self.body[at : at + length])
            at += max(length, 0)
        return found

    @property
    def parameter(self) -> tuple[str, str]:
        """Read a ParameterStatus."""
        assert self.kind == b"S", f"{self.kind!r} is no ParameterStatus"
        name, value, _ = self.body.split(b"\0")
        return name.decode(), value.decode()


class ClosedByPeer(AssertionError):
    """Say that the other side closed where a message was expected."""


class Wire:
    """Own one connection. `parameters` and `backend_key` are what the login brought."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.parameters: dict[str, str] = {}
        self.backend_key = b""
        self._unread = bytearray()

    @classmethod
    def connect(cls, host: str, port: int, tls: ssl.SSLContext | None = None) -> Self:
        """Connect; `tls`: ask for encryption first, and fail without it."""
        sock = socket.create_connection((host, port), timeout=DEADLINE_S)
        if tls is not None:
            sock.sendall(messages.ssl_request())
            answer = sock.recv(1)
            assert answer == b"S", f"SSLRequest was answered {answer!r}"
            sock = tls.wrap_socket(sock, server_hostname=host)
        return cls(sock)

    @classmethod
    def connect_unix(cls, path: Path) -> Self:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(DEADLINE_S)
        sock.connect(str(path))
        return cls(sock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def login(
        self,
        user: str = "app",
        database: str = "app",
        password: str = PASSWORD,
        version: int = messages.PROTOCOL_3_0,
        **parameters: str,
    ) -> list[Message]:
        """Log in and read up to ReadyForQuery; return all messages after the authentication.

        Raises: AssertionError carrying the ErrorResponse when the login is refused.
        """
        self.authenticate(user, database, password, version, **parameters)
        greeting = self.read_until(b"Z")
        for each in greeting:
            if each.kind == b"S":
                name, value = each.parameter
                self.parameters[name] = value
            elif each.kind == b"K":
                self.backend_key = each.body
        return greeting

    def authenticate(
        self,
        user: str = "app",
        database: str = "app",
        password: str = PASSWORD,
        version: int = messages.PROTOCOL_3_0,
        **parameters: str,
    ) -> None:
        """Log in as far as AuthenticationOk; the greeting is not waited for."""
        self.send(messages.startup({"user": user, "database": database, **parameters}, version))
        self.prove(user, password)

    def prove(self, user: str, password: str = PASSWORD) -> None:
        """Answer what is asked after the startup packet, up to AuthenticationOk."""
        answer = answers(user, password)
        next(answer)
        while True:
            received = self.read()
            if received.kind in (b"v", b"N"):
                continue
            assert received.kind == b"R", f"login refused: {received}"
            try:
                self.send(answer.send(received.body))
            except StopIteration:
                return

    def send(self, *parts: bytes) -> None:
        self.sock.sendall(b"".join(parts))

    def half_close(self) -> None:
        """Send FIN and go on reading; within TLS without a word about it."""
        socket.socket.shutdown(self.sock, socket.SHUT_WR)

    def read(self, deadline_s: float = DEADLINE_S) -> Message:
        """Read one message. Raises: ClosedByPeer, TimeoutError."""
        end = time.monotonic() + deadline_s
        kind, length = struct.unpack("!cI", self._take(5, end))
        return Message(kind, self._take(length - 4, end))

    def read_until(self, kind: bytes, deadline_s: float = DEADLINE_S) -> list[Message]:
        """Read up to and with the first message of that type."""
        end = time.monotonic() + deadline_s
        found = [self.read(deadline_s)]
        while found[-1].kind != kind:
            found.append(self.read(max(0.001, end - time.monotonic())))
        return found

    def read_bytes(self, count: int, deadline_s: float = DEADLINE_S) -> bytes:
        """Read bytes that are no message, such as the answer to SSLRequest."""
        return self._take(count, time.monotonic() + deadline_s)

    def skip(self, count: int, scratch: bytearray) -> None:
        """Read that many bytes into `scratch`, again and again: for messages too large to keep."""
        count -= len(self._take(min(count, len(self._unread)), time.monotonic()))
        while count:
            got = self.sock.recv_into(scratch, min(count, len(scratch)))
            if not got:
                raise ClosedByPeer("the other side closed the connection")
            count -= got

    def query(self, sql: str) -> list[Message]:
        """Send a simple Query and read up to ReadyForQuery."""
        self.send(messages.query(sql))
        return self.read_until(b"Z")

    def rows(self, sql: str) -> list[list[bytes | None]]:
        """Run a simple Query and return its rows; fail on an ErrorResponse."""
        found = self.query(sql)
        errors = [each.fields for each in found if each.kind == b"E"]
        assert not errors, errors
        return [each.values for each in found if each.kind == b"D"]

    def is_silent(self, seconds: float = 0.2) -> bool:
        """Say whether nothing comes, and the connection stays, for that long."""
        try:
            self._fill(time.monotonic() + seconds)
        except TimeoutError:
            return not self._unread
        except ClosedByPeer:
            return False
        return False

    def read_to_end(self, deadline_s: float = DEADLINE_S) -> list[Message]:
        """Read all messages until the other side closes in order (FIN, not RST)."""
        found: list[Message] = []
        try:
            while True:
                found.append(self.read(deadline_s))
        except ClosedByPeer:
            assert not self._unread, f"closed in the middle of a message: {bytes(self._unread)!r}"
        return found

    def _take(self, count: int, end: float) -> bytes:
        while len(self._unread) < count:
            self._fill(end)
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken

    def _fill(self, end: float) -> None:
        self.sock.settimeout(max(0.001, end - time.monotonic()))
        data = self.sock.recv(_CHUNK)
        if not data:
            raise ClosedByPeer("the other side closed the connection")
        self._unread += data
