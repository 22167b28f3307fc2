"""TLS of an inquiry, by Python's own ssl: a command does without the engine.

Law: nothing but SSLRequest leaves before the handshake is done and the certificate verified.
Partner: `protocol/encryption.py`, which says when TLS is asked for. Source: "SSL Support".
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from greenpool.config import ServerTlsMode
from greenpool.errors import ControlError
from greenpool.protocol import frontend
from greenpool.protocol.encryption import Step
from greenpool.protocol.startup import EncryptionRequest

_VERIFYING = frozenset((ServerTlsMode.VERIFY_CA, ServerTlsMode.VERIFY_FULL))


class HandshakeFailed(ControlError):
    """The server's TLS is not to be trusted, or there is none where it is demanded."""


@dataclass(frozen=True, slots=True)
class Encryption:
    """What is wanted of TLS; the names are those of the settings."""

    server_tls_mode: ServerTlsMode = ServerTlsMode.DISABLE
    server_tls_ca_cert: Path | None = None

    def secure(self, sock: socket.socket, host: str, step: Step) -> socket.socket:
        """Return what to speak through. Raises: HandshakeFailed, OSError."""
        if step is Step.PLAIN:
            return sock
        sock.sendall(frontend.ssl_request())
        answer = sock.recv(1)  # not one byte more: what follows must be the handshake's
        if answer == EncryptionRequest.REFUSAL and step is Step.TLS_IF_ANY:
            return sock
        if answer != EncryptionRequest.CONSENT:
            raise HandshakeFailed("server does not support TLS, but it is required")
        try:
            return self._context().wrap_socket(sock, server_hostname=host)
        except ssl.SSLError as exc:
            raise HandshakeFailed(f"TLS failed: {exc}") from exc

    def _context(self) -> ssl.SSLContext:
        mode, authorities = self.server_tls_mode, self.server_tls_ca_cert
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = mode is ServerTlsMode.VERIFY_FULL
        if not self._is_verified:
            context.verify_mode = ssl.CERT_NONE
        elif authorities is None:
            raise HandshakeFailed(f"server_tls_mode {mode} needs server_tls_ca_cert")
        else:
            try:
                context.load_verify_locations(authorities)
            except OSError as exc:
                why = exc.strerror or str(exc)
                raise HandshakeFailed(f'cannot use "{authorities}": {why}') from exc
        return context

    @property
    def _is_verified(self) -> bool:
        """As with servers: `require` verifies too where authorities are named."""
        mode = self.server_tls_mode
        is_named = self.server_tls_ca_cert is not None
        return mode in _VERIFYING or (mode is ServerTlsMode.REQUIRE and is_named)
