"""Encryption of clients: who gets it, the handshake, and who may not do without.

Law: where TLS is demanded nobody logs in without it; a CancelRequest may come in plain text, as
PostgreSQL takes it, because libpq before 17 sends it no other way. UNIX sockets have no TLS.
Source: PostgreSQL `backend_startup.c`, `be-secure-openssl.c`; "SSL Session Encryption".
"""

from __future__ import annotations

from dataclasses import replace

import gevent
from gevent import socket

from greenpool.auth.peer import Certificate, Peer, Transport
from greenpool.config import General
from greenpool.protocol.errors import ClientError, Severity, SqlState
from greenpool.protocol.startup import (
    ENCRYPTION_REQUESTS,
    Encryption,
    EncryptionRequest,
    StartupMessage,
)
from greenpool.records import EncryptionFlags
from greenpool.tls import TlsContext, TlsFacts, TlsFailure
from greenpool.worker import sockets, tls_contexts
from greenpool.worker.state import Worker
from greenpool.worker.tls_socket import AnySocket, TlsSocket, facts_of

_FLAGS = {Encryption.SSL: EncryptionFlags.SSL, Encryption.GSSAPI: EncryptionFlags.GSS}


def requests(kinds: EncryptionFlags) -> list[bytes]:
    """Return the packets by which these kinds of encryption are asked for."""
    return [packet for packet, kind in ENCRYPTION_REQUESTS.items() if _FLAGS[kind] & kinds]


def offer(worker: Worker, family: int) -> TlsContext | None:
    """Return what TLS would begin with on such a socket; None: there is none to be had."""
    return worker.tls.clients if family != socket.AF_UNIX else None


def shake_hands(
    worker: Worker, context: TlsContext, sock: socket.socket, early: bytes
) -> TlsSocket:
    """Encrypt a connection. `early`: first bytes of a direct handshake, empty after SSLRequest.

    Switches: yes; the caller has a deadline. Raises: TlsFailure, OSError.
    """
    wait_for_turn(worker)
    if not early:
        sock.sendall(EncryptionRequest.CONSENT)
    secure = TlsSocket(sock, context.session())
    go_on(worker, secure, early, is_direct=bool(early))
    return secure


def of_the_engine(worker: Worker, general: General) -> TlsContext | None:
    """Return what the engine shakes hands with; None: nothing, or each waits: a turn, a thread."""
    waits = worker.tls.is_slow or general.tls_rate_limit_per_second
    return None if waits else worker.tls.clients


def go_on(worker: Worker, sock: TlsSocket, early: bytes = b"", *, is_direct: bool) -> None:
    """Finish a handshake, wherever it is. `is_direct`: nobody asked for it before.

    Switches: yes; the caller has a deadline. Raises: TlsFailure, OSError.
    """
    facts = sock.handshake(early, worker.threads if worker.tls.is_slow else None)
    if is_direct and not facts.has_alpn:
        raise TlsFailure("a direct handshake without ALPN")


def wait_for_turn(worker: Worker) -> None:
    """Keep to tls_rate_limit_per_second. Switches: yes. Raises: TlsFailure when it takes too long.

    A turn that would come after client_login_timeout is not taken from those who are in time.
    """
    general = worker.config.general
    if not general.tls_rate_limit_per_second:
        return
    patience_s = general.client_login_timeout_ms / 1000
    wait_s = worker.segment.handshake_turn(general.tls_rate_limit_per_second, patience_s)
    if wait_s is None:
        raise TlsFailure("too many handshakes are waiting for their turn")
    if wait_s:
        gevent.sleep(wait_s)


def check(worker: Worker, sock: AnySocket, startup: StartupMessage) -> None:
    """See that a client has the encryption and the certificate that are demanded.

    Raises: ClientError.
    """
    general = worker.config.general
    if sock.family == socket.AF_UNIX or not tls_contexts.is_demanded_of_clients(general):
        return
    facts = facts_of(sock)
    if facts is None:
        raise _refusal("SSL required", "Connect with sslmode=require or higher.")
    if not tls_contexts.is_certificate_demanded(general):
        return
    if facts.peer is None:
        raise _refusal("connection requires a valid client certificate")
    if tls_contexts.is_name_demanded(general) and facts.peer.common_name != startup.user:
        raise _refusal(f'certificate authentication failed for user "{startup.user}"')


def peer_of(worker: Worker, sock: AnySocket) -> Peer:
    """Return what is known of the other end. Raises: OSError if it has gone already."""
    facts = facts_of(sock)
    if facts is None:
        return sockets.peer_of(sock)
    return replace(
        sockets.peer_of(sock),
        transport=Transport.TLS,
        certificate=certificate_of(facts),
        can_check_certificates=worker.config.general.tls_ca_cert is not None,
        binding=facts.binding,
    )


def certificate_of(facts: TlsFacts) -> Certificate | None:
    """Return what the other end's certificate says; None: it has shown none."""
    peer = facts.peer
    return None if peer is None else Certificate(peer.common_name, peer.subject)


def _refusal(message: str, hint: str | None = None) -> ClientError:
    sqlstate = SqlState.INVALID_AUTHORIZATION_SPECIFICATION
    return ClientError(Severity.FATAL, sqlstate, message, hint)
