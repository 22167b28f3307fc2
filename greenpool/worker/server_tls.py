"""Encryption of server connections: the handshake, and what a refusal means.

When it is asked for is said by `protocol/encryption.py`.

Law: where TLS is demanded nothing but SSLRequest leaves before the handshake is done and the
certificate verified; what comes before it is never believed.
Source: libpq "SSL Support", `fe-connect.c`; "SSL Session Encryption".
"""

from __future__ import annotations

from gevent import socket

from greenpool.config import Pool, ServerTlsMode
from greenpool.errors import ServerUnavailable
from greenpool.protocol import frontend
from greenpool.protocol.encryption import Step
from greenpool.protocol.startup import EncryptionRequest
from greenpool.tls import TlsFailure
from greenpool.worker import dial
from greenpool.worker.state import Worker
from greenpool.worker.tls_socket import AnySocket, TlsSocket


class HandshakeFailed(ServerUnavailable):
    """The server's TLS is not to be trusted, or ours not good enough for it."""


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
