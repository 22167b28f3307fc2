"""A socket with TLS, for as long as Python has it: handshake, login, last words.

It has the few methods of a gevent socket that logins use, so that these do not know what they
speak through. `unwrap` then gives descriptor and session to the engine, which goes on in C.
Law: ciphertext leaves in the order in which it was made, so nobody writes but the greenlet that
owns the socket. Partner: `greenpool/tls.py`, the session without a socket.
"""

from __future__ import annotations

from typing import Any

from gevent import socket
from gevent.threadpool import ThreadPool

from greenpool.tls import TlsFacts, TlsSession

_RECV_BYTES = 16384


class TlsSocket:
    """Own a gevent socket and the session on it. `facts` are there after the handshake."""

    __slots__ = ("_sock", "facts", "session")

    def __init__(self, sock: socket.socket, session: TlsSession) -> None:
        self._sock = sock
        self.session = session
        self.facts: TlsFacts | None = None

    @property
    def family(self) -> int:
        family: int = self._sock.family
        return family

    def fileno(self) -> int:
        number: int = self._sock.fileno()
        return number

    def getpeername(self) -> Any:
        return self._sock.getpeername()

    def handshake(self, early: bytes = b"", threads: ThreadPool | None = None) -> TlsFacts:
        """Shake hands; `early`: what has been read from the peer already.

        `threads`: where to sign, for keys that take long. Switches: yes; the caller has a
        deadline, and may be killed while a thread is at it. Raises: TlsFailure, OSError.
        """
        session = self.session
        step = session.handshake
        if early:
            session.feed(early)
        try:
            while not (threads.apply(step) if threads is not None else step()):
                self._flush()
                data = self._sock.recv(_RECV_BYTES)
                if not data:
                    raise ConnectionAbortedError("the peer has left the TLS handshake")
                session.feed(data)
        finally:
            self._flush()  # an alert, if it has failed
        self.facts = session.facts()
        return self.facts

    def recv(self, size: int) -> bytes:
        """Return what has come, b"" at the end. Switches: yes. Raises: TlsFailure, OSError."""
        while (data := self.session.read(size)) is None:
            self._flush()
            wire = self._sock.recv(_RECV_BYTES)
            if not wire:
                return b""
            self.session.feed(wire)
        return data

    def sendall(self, data: bytes) -> None:
        """Send all of it. Switches: yes. Raises: TlsFailure, OSError."""
        self.session.write(bytes(data))
        self._flush()

    def shutdown(self, how: int) -> None:
        """Say that nothing follows, in TLS and below. Switches: yes. Raises: OSError."""
        self.session.end()
        self._flush()
        self._sock.shutdown(how)

    def settimeout(self, timeout_s: float | None) -> None:
        self._sock.settimeout(timeout_s)

    def close(self) -> None:
        self._sock.close()

    def drain(self) -> bytes:
        """Return the plaintext that has come already. Raises: TlsFailure."""
        rest = b""
        while data := self.session.read(_RECV_BYTES):
            rest += data
        return rest

    def detach(self) -> int:
        """Let go of the descriptor, with nothing left to send. Switches: maybe."""
        self._flush()
        fd: int = self._sock.detach()
        return fd

    def _flush(self) -> None:
        data = self.session.take()
        if data:
            self._sock.sendall(data)


AnySocket = Any
"""A gevent socket, which has no types, or a TlsSocket."""


def unwrap(sock: AnySocket) -> tuple[int, TlsSession | None, bytes]:
    """Detach what the engine gets of a socket: descriptor, session, plaintext that has come."""
    if isinstance(sock, TlsSocket):
        rest = sock.drain()
        return sock.detach(), sock.session, rest
    return sock.detach(), None, b""


def facts_of(sock: AnySocket) -> TlsFacts | None:
    """Return what a socket's TLS has led to, None without any."""
    return sock.facts if isinstance(sock, TlsSocket) else None
