"""Encryption of server connections: when it is asked for, the handshake, what a refusal means.

    server_tls_mode   first    when PostgreSQL refuses it (28000), or the handshake fails
    disable           plain
    allow             plain    TLS
    prefer            TLS      plain; a server that has no TLS is spoken to as it is
    require, verify-* TLS

Law: where TLS is demanded nothing but SSLRequest leaves before the handshake is done and the
certificate verified; what comes before it is never believed. UNIX sockets have no TLS, whatever
the mode. Source: libpq "SSL Support", `fe-connect.c`; "SSL Session Encryption".
"""

from __future__ import annotations

from enum import Enum

from gevent import socket

from greenpool.config import Pool, ServerTlsMode
from greenpool.errors import ServerUnavailable
from greenpool.protocol import frontend
from greenpool.protocol.startup import EncryptionRequest
from greenpool.tls import TlsFailure
from greenpool.worker import dial
from greenpool.worker.state import Worker
from greenpool.worker.tls_socket import AnySocket, TlsSocket


class Step(Enum):
    """How one attempt to log in goes about encryption."""

    PLAIN = "plain"
    TLS_IF_ANY = "TLS if the server has it"
    TLS = "TLS"


class HandshakeFailed(ServerUnavailable):
    """The server's TLS is not to be trusted, or ours not good enough for it."""


_STEPS = {
    ServerTlsMode.DISABLE: (Step.PLAIN,),
    ServerTlsMode.ALLOW: (Step.PLAIN, Step.TLS),
    ServerTlsMode.PREFER: (Step.TLS_IF_ANY, Step.PLAIN),
    ServerTlsMode.REQUIRE: (Step.TLS,),
    ServerTlsMode.VERIFY_CA: (Step.TLS,),
    ServerTlsMode.VERIFY_FULL: (Step.TLS,),
}


def steps(pool: Pool) -> tuple[Step, ...]:
    """Return the ways to log in, in the order in which they are tried."""
    return (Step.PLAIN,) if pool.server_host.startswith("/") else _STEPS[pool.server_tls_mode]


def secure(worker: Worker, pool: Pool, sock: socket.socket, step: Step) -> AnySocket:
    """Encrypt a connection just made, as the step says; return what to speak through.

    Switches: yes; the caller has a deadline. Raises: dial.ConnectFailed, HandshakeFailed, OSError.
    """
    if step is Step.PLAIN:
        return sock
    sock.sendall(frontend.ssl_request())
    answer = sock.recv(1)  # not one byte more: what follows must be the handshake's
    if answer == EncryptionRequest.CONSENT:
        return _shake_hands(worker, pool, sock)
    if answer == EncryptionRequest.REFUSAL and step is Step.TLS_IF_ANY:
        return sock
    what = {
        b"": "server closed the connection when it was asked for TLS",
        EncryptionRequest.REFUSAL: "server does not support TLS, but it is required",
    }.get(answer, "server gave no lawful answer when it was asked for TLS")
    raise dial.failed(pool, what)


def _shake_hands(worker: Worker, pool: Pool, sock: socket.socket) -> TlsSocket:
    """Shake hands in a thread: verifying and signing take a millisecond, and logins are rare."""
    check_host = pool.server_tls_mode is ServerTlsMode.VERIFY_FULL
    session = worker.tls.of(pool).session(pool.server_host, check_host=check_host)
    secure = TlsSocket(sock, session)
    try:
        secure.handshake(threads=worker.threads)
    except TlsFailure as exc:
        address = dial.address_of(pool)
        raise HandshakeFailed(f'TLS with server at "{address}" failed: {exc}') from exc
    return secure
