"""A connection from accept until it is clear what it wants: its socket, and what it has said.

    accepted -> [encryption refused] -> [TLS] -> StartupMessage | CancelRequest
        \\__________ said before ____________________/^ (`recall`)

Most often the engine has gone part of this way, or all of it: what it has read, refused and agreed
comes with the guest. Law: whoever owns the descriptor closes it, so `close` does unless it has been
`release`d. Source: "Message Flow > Start-up". Partner: `session.py`, which knows what follows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from gevent import socket
from gevent.socket import wait_read

from greenpool.errors import GreenpoolError
from greenpool.protocol.startup import (
    ENCRYPTION_REQUESTS,
    CancelRequest,
    DirectTls,
    DirectTlsRefused,
    Encryption,
    EncryptionRequest,
    StartupMessage,
    StartupReader,
)
from greenpool.records import Guest
from greenpool.tls import TlsFacts, TlsSession
from greenpool.worker import client_tls
from greenpool.worker.planning import Decision
from greenpool.worker.sockets import host_of, name_of
from greenpool.worker.state import Worker
from greenpool.worker.tls_socket import AnySocket, TlsSocket, facts_of, unwrap

_RECV_BYTES = 8192
_NS_PER_MS = 1_000_000

Recall = Callable[[bytes], Decision | None]
"""Says what was decided for another one that began like this."""
First = StartupMessage | CancelRequest | Decision


class Disconnected(GreenpoolError):
    """The client has gone before its login was complete."""


class LoginTimeout(BaseException):
    """client_login_timeout is over; thrown into the session's greenlet, and caught there."""


class Arrival:
    """What has come. `where`: its address as logs write it; `early`: received and not read yet."""

    __slots__ = (
        "_fd",
        "_is_direct",
        "_refused",
        "_said",
        "_started_ns",
        "_worker",
        "early",
        "family",
        "host",
        "sock",
        "where",
    )

    def __init__(self, worker: Worker, guest: Guest) -> None:
        self._worker = worker
        self._fd = guest.fd
        self._is_direct = guest.is_direct
        self._refused = client_tls.requests(guest.refused)  # while there is no `sock`
        self._said = guest.said
        self._started_ns = time.monotonic_ns() - guest.spent_ms * _NS_PER_MS
        self.early = b""
        self.family = guest.family
        self.host, self.where = host_of(guest.address), name_of(guest.address)
        self.sock: AnySocket = None  # made when there is more to do than a known client needs
        if guest.tls is not None:
            self.sock = TlsSocket(socket.socket(fileno=guest.fd), guest.tls)

    @property
    def spent_ms(self) -> int:
        """How long it has been here."""
        return (time.monotonic_ns() - self._started_ns) // _NS_PER_MS

    @property
    def tls(self) -> TlsSocket | None:
        """Its socket, if that has TLS."""
        return self.sock if isinstance(self.sock, TlsSocket) else None

    @property
    def facts(self) -> TlsFacts | None:
        """What its TLS has led to, None without any."""
        return facts_of(self.sock)

    def left_s(self, timeout_s: float) -> float:
        """Return how much is left of the time that it has."""
        return max(0.0, timeout_s - self.spent_ms / 1000)

    def meet(self, timeout_s: float) -> bytes:
        """Return the first bytes that ask for more than a refusal of encryption; b"": with TLS.

        Most often they have come already: plain system calls, and no wait. Switches: maybe.
        Raises: Disconnected, LoginTimeout, OSError.
        """
        while self.sock is None:
            data, self._said = self._said, b""
            try:
                data = data or os.read(self._fd, _RECV_BYTES)
            except BlockingIOError:
                wait_read(self._fd, self.left_s(timeout_s), LoginTimeout())
                continue
            if not data:
                raise Disconnected("it closed the connection")
            if not self._is_to_be_refused(data):
                return data
            self._refused.append(data)
            os.write(self._fd, EncryptionRequest.REFUSAL)
        return b""

    def open(self) -> AnySocket:
        """Have a socket that can wait."""
        if self.sock is None:
            self.sock = socket.socket(fileno=self._fd)
        return self.sock

    def read_startup(self, data: bytes, recall: Recall) -> First:
        """Read until it is clear what this is, and encrypt the rest where that is wanted.

        `data`: of `meet`. Switches: yes. Raises: ClientError, TlsFailure, Disconnected, OSError.
        """
        reader = StartupReader(self._worker.config.general.max_startup_packet_bytes)
        for request in self._refused:
            reader.feed(request)
        if self.tls is not None:  # the engine has begun it
            client_tls.go_on(self._worker, self.tls, is_direct=self._is_direct)
            reader.encrypt()
            data = self._said or self.receive()
        while True:
            if not reader.pending and (decision := recall(data)):
                return decision
            event = reader.feed(data)
            if isinstance(event, DirectTls):
                if not self._encrypt(reader, event.data):
                    raise DirectTlsRefused
            elif isinstance(event, EncryptionRequest):
                if event.kind is not Encryption.SSL or not self._encrypt(reader, b""):
                    self.sock.sendall(event.REFUSAL)
            elif event is not None:
                self.early = reader.take_rest()
                return event
            data = self.receive()

    def receive(self) -> bytes:
        """Return what comes. Switches: yes. Raises: Disconnected, TlsFailure, OSError."""
        data: bytes = self.sock.recv(_RECV_BYTES)
        if not data:
            raise Disconnected("it closed the connection")
        return data

    def release(self) -> tuple[int, TlsSession | None, bytes]:
        """Give away descriptor, session, and what has come early. Switches: maybe."""
        if self.sock is None:
            return self._fd, None, self.early
        fd, tls, rest = unwrap(self.sock)
        return fd, tls, self.early + rest

    def close(self) -> None:
        """Close it."""
        if self.sock is not None:
            self.sock.close()
        else:
            os.close(self._fd)

    def _is_to_be_refused(self, data: bytes) -> bool:
        """Whether this is a first request for an encryption that it cannot have."""
        if data not in ENCRYPTION_REQUESTS or data in self._refused:
            return False
        is_tls = ENCRYPTION_REQUESTS[data] is Encryption.SSL
        return not (is_tls and client_tls.offer(self._worker, self.family))

    def _encrypt(self, reader: StartupReader, early: bytes) -> bool:
        """Shake hands; False: there is nothing to do it with. `early`: what came of it unasked."""
        context = client_tls.offer(self._worker, self.family)
        if context is None:
            return False
        self.sock = client_tls.shake_hands(self._worker, context, self.sock, early)
        reader.encrypt()
        return True
