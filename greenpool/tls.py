"""TLS contexts and sessions of the compiled engine (`_cparser/tls.c`), without I/O.

Contracts stand at the prototypes in `_cparser/engine_tls.h`. No call waits; `TlsSession.handshake`
may take a millisecond of CPU and may run in another thread. Partners: `worker/tls_contexts.py`,
which makes contexts from the configuration, `worker/tls_socket.py`, which has the socket.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

from greenpool.binding import ffi, lib, optional, text_of
from greenpool.errors import EngineError, GreenpoolError
from greenpool.records import Result

SECRET_BYTES = 32

_TAKE_BYTES = 32768


class TlsError(GreenpoolError):
    """A certificate, key or list that cannot be used."""


class TlsFailure(GreenpoolError, OSError):
    """A session that is of no more use: for its socket that is like a reset."""


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """The other side's certificate, verified. Names are RFC 2253's, the serial is decimal."""

    common_name: str
    subject: str
    issuer: str
    serial: str


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What a handshake has led to.

    `binding`: tls-server-end-point of the server's certificate, empty if it has none (Ed25519).
    """

    version: str
    cipher: str
    has_alpn: bool
    is_resumed: bool
    binding: bytes = field(repr=False)
    peer: PeerCertificate | None


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """What a context shows to the other side; times are seconds of the calendar."""

    not_before_s: int
    not_after_s: int
    key_bits: int
    key_is_rsa: bool


class TlsContext:
    """What all sessions of one configuration share. Set it up before the first session."""

    __slots__ = ("pointer",)

    def __init__(self, *, is_server: bool) -> None:
        context = lib.gp_tls_context_new(is_server)
        if context == ffi.NULL:
            raise EngineError("cannot make a TLS context")
        self.pointer = ffi.gc(context, lib.gp_tls_context_free)

    def set_certificate(self, pem: bytes) -> None:
        """Show this certificate, its chain behind it. Raises: TlsError."""
        self._check(lib.gp_tls_context_certificate(self.pointer, pem, len(pem)))

    def set_key(self, pem: bytes) -> None:
        """Use this key of the certificate. Raises: TlsError, also if it is another one's."""
        self._check(lib.gp_tls_context_key(self.pointer, pem, len(pem)))

    def set_authorities(self, pem: bytes) -> None:
        """Verify the other side's certificate by these. Raises: TlsError."""
        self._check(lib.gp_tls_context_authorities(self.pointer, pem, len(pem)))

    def set_versions(self, least: str, ciphers: str | None, suites: str | None) -> None:
        """Set the least version, "1.2" or "1.3", and what is spoken. Raises: TlsError."""
        minor = int(least.removeprefix("1."))
        arguments = (optional(ciphers), optional(suites))
        self._check(lib.gp_tls_context_versions(self.pointer, minor, *arguments))

    def set_tickets(self, secret: bytes) -> None:
        """Let clients resume sessions wherever the secret (SECRET_BYTES) is the same."""
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"a ticket secret has {SECRET_BYTES} bytes")
        lib.gp_tls_context_tickets(self.pointer, secret)

    @property
    def own(self) -> OwnCertificate | None:
        """The certificate that it shows."""
        own = ffi.new("struct gp_tls_own *")
        if not lib.gp_tls_context_own(self.pointer, own):
            return None
        return OwnCertificate(own.not_before_s, own.not_after_s, own.key_bits, own.key_is_rsa)

    def session(self, host: str | None = None, *, check_host: bool = False) -> TlsSession:
        """Begin a session; `host`: whom a client expects to meet. Raises: EngineError."""
        tls = lib.gp_tls_new(self.pointer, optional(host), check_host)
        if tls == ffi.NULL:
            raise EngineError("cannot make a TLS session")
        return TlsSession(tls)

    def _check(self, result: int) -> None:
        if result != Result.OK:
            raise TlsError(text_of(lib.gp_tls_context_why(self.pointer)))


class TlsSession:
    """One session; freed with its last reference, which a thread may hold during a handshake."""

    __slots__ = ("pointer",)

    def __init__(self, pointer: Any) -> None:
        self.pointer = ffi.gc(pointer, lib.gp_tls_free)

    def give_away(self) -> Any:
        """Return the pointer for an owner in C; this object is of no use afterwards."""
        pointer, self.pointer = self.pointer, None
        ffi.gc(pointer, None)
        return pointer

    def feed(self, data: bytes) -> None:
        """Add ciphertext that has come. Raises: TlsFailure."""
        if lib.gp_tls_feed(self.pointer, data, len(data)) != Result.OK:
            raise TlsFailure("out of memory")

    def take(self) -> bytes:
        """Return all ciphertext that is to be sent, often none."""
        out = b""
        buffer = ffi.new("uint8_t[]", _TAKE_BYTES)
        while length := lib.gp_tls_take(self.pointer, buffer, _TAKE_BYTES):
            out += bytes(ffi.buffer(buffer, length))
        return out

    def handshake(self) -> bool:
        """Go on with the handshake; False: feed more. Raises: TlsFailure."""
        return self._went_on(lib.gp_tls_handshake(self.pointer))

    def read(self, size: int) -> bytes | None:
        """Return plaintext, b"" at its end; None: feed more. Raises: TlsFailure."""
        buffer = ffi.new("uint8_t[]", size)
        length = ffi.new("uint32_t *")
        result = lib.gp_tls_read(self.pointer, buffer, size, length)
        if result == Result.EOF:
            return b""
        return bytes(ffi.buffer(buffer, length[0])) if self._went_on(result) else None

    def write(self, data: bytes) -> None:
        """Encrypt. Raises: TlsFailure."""
        self._went_on(lib.gp_tls_write(self.pointer, data, len(data)))

    def end(self) -> None:
        """Say that no more follows (close_notify)."""
        lib.gp_tls_end(self.pointer)

    def facts(self) -> TlsFacts:
        """Return what the handshake has led to. Raises: TlsFailure."""
        found = ffi.new("struct gp_tls_facts *")
        self._went_on(lib.gp_tls_describe(self.pointer, found))
        peer = PeerCertificate(
            common_name=text_of(found.peer_name),
            subject=text_of(found.peer_subject),
            issuer=text_of(found.peer_issuer),
            serial=text_of(found.peer_serial),
        )
        return TlsFacts(
            version=text_of(found.version),
            cipher=text_of(found.cipher),
            has_alpn=found.has_alpn,
            is_resumed=found.resumed,
            binding=bytes(ffi.buffer(found.binding, found.binding_length)),
            peer=peer if found.has_peer else None,
        )

    def _went_on(self, result: int) -> bool:
        if result == Result.EPROTO:
            self._fail()
        return result != Result.AGAIN

    def _fail(self) -> NoReturn:
        raise TlsFailure(text_of(lib.gp_tls_why(self.pointer)))
