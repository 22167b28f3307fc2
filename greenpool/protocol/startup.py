"""The first packets of a client: what it is, which protocol it speaks, what it asks for.

    bytes --> EncryptionRequest (answered `N` or `S`) --> StartupMessage
         \\-> DirectTls ------------ handshake -----^    \\-> CancelRequest

Law: everything that may stand before authentication is accepted or refused here, with the texts
and SQLSTATEs of PostgreSQL's `backend_startup.c`; every packet is bounded before it is kept.
Partner: the client session, which answers the events; `options.py`.
Source: "Message Flow > Start-up", "> SSL Session Encryption", "> Canceling Requests in Progress";
"Supported Message Formats > NegotiateProtocolVersion".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from greenpool.protocol.backend import negotiate_protocol_version
from greenpool.protocol.body import Body, MalformedBody
from greenpool.protocol.errors import ClientError, Severity, SqlState, protocol_violation
from greenpool.protocol.frontend import (
    CANCEL_REQUEST_CODE,
    GSSENC_REQUEST_CODE,
    MAX_CANCEL_KEY_BYTES,
    MIN_CANCEL_KEY_BYTES,
    PROTOCOL_3_0,
    PROTOCOL_3_2,
    SSL_REQUEST_CODE,
    gssenc_request,
    ssl_request,
)
from greenpool.protocol.message import decode_text, encode_text
from greenpool.protocol.options import parse_options

MAX_STARTUP_PACKET_BYTES = 10240
"""Default of `max_startup_packet`; PostgreSQL's MAX_STARTUP_PACKET_LENGTH is 10000."""

MAX_NAME_BYTES = 63
"""PostgreSQL's NAMEDATALEN less one: longer user and database names are cut, not refused."""

_U32 = struct.Struct("!I")
_TLS_HANDSHAKE = b"\x16"
_TLS_ALERT_HANDSHAKE_FAILURE = bytes((0x15, 3, 1, 0, 2, 2, 40))
_PROTOCOL_OPTION_PREFIX = "_pq_."
_NOT_GUCS = frozenset({"user", "database", "options", "replication"})


class Encryption(Enum):
    """Kinds of encryption a client may ask for; the value is PostgreSQL's name in errors."""

    SSL = "SSL"
    GSSAPI = "GSSAPI encryption"


class Replication(Enum):
    """What the startup parameter `replication` asks for."""

    NONE = "none"
    PHYSICAL = "physical"
    LOGICAL = "logical"


@dataclass(frozen=True, slots=True)
class EncryptionRequest:
    """SSLRequest or GSSENCRequest: answer one byte, then feed what follows to the same reader.

    After CONSENT to an SSLRequest that is what comes through TLS; tell the reader (`encrypt`).
    """

    kind: Encryption

    REFUSAL = b"N"
    CONSENT = b"S"


ENCRYPTION_REQUESTS: Mapping[bytes, Encryption] = {
    ssl_request(): Encryption.SSL,
    gssenc_request(): Encryption.GSSAPI,
}
"""The whole packets."""


@dataclass(frozen=True, slots=True)
class DirectTls:
    """The client begins with a TLS handshake, `data` being its first bytes, as since libpq 17."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """CancelRequest: no reply of any kind, close when it is done."""

    backend_pid: int
    cancel_key: bytes


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """A lawful StartupMessage.

    `version` is what the client asked for; `parameters` are the run-time parameters in the order
    sent, without user, database, options, replication and protocol options.
    `database` is the user's name when none was given, also for physical replication.
    """

    version: int
    user: str
    database: str
    replication: Replication
    options: str
    parameters: Mapping[str, str]
    protocol_options: tuple[str, ...]
    packet: bytes = field(default=b"", repr=False, compare=False)
    """The packet as it came, its length word included."""

    @property
    def spoken_version(self) -> int:
        """The version of the conversation: the one asked for, but none newer than 3.2."""
        return min(self.version, PROTOCOL_3_2)

    @property
    def takes_long_cancel_keys(self) -> bool:
        """Whether BackendKeyData may carry a key that is not exactly four bytes long."""
        return self.spoken_version >= PROTOCOL_3_2

    def negotiation(self) -> bytes:
        """Build the NegotiateProtocolVersion that must precede all else; empty if none is due."""
        if self.version <= PROTOCOL_3_2 and not self.protocol_options:
            return b""
        return negotiate_protocol_version(self.spoken_version, self.protocol_options)

    def negotiated(self) -> StartupMessage:
        """Return what remains when the client has been told what is spoken."""
        return replace(self, version=self.spoken_version, protocol_options=())

    def settings(self) -> dict[str, str]:
        """Return all run-time parameters: those in `options` first, overridden by the others.

        Raises: ClientError for an `options` line that PostgreSQL would refuse.
        """
        return parse_options(self.options) | dict(self.parameters)


def packet_length(data: bytes) -> int:
    """Return how long a first packet says it is; more than is there if it does not say yet."""
    return int(_U32.unpack_from(data)[0]) if len(data) >= 4 else 4


StartupEvent = DirectTls | EncryptionRequest | CancelRequest | StartupMessage


class DirectTlsRefused(ClientError):
    """A client that opened with a TLS handshake; it understands nothing but a TLS alert."""

    def __init__(self) -> None:
        super().__init__(
            Severity.FATAL,
            SqlState.PROTOCOL_VIOLATION,
            "direct TLS connections are not supported",
            "Connect with sslnegotiation=postgres and sslmode=prefer or lower.",
        )

    def response(self) -> bytes:
        """Build a fatal handshake_failure alert."""
        return _TLS_ALERT_HANDSHAKE_FAILURE


class UnsupportedProtocol(ClientError):
    """A client that speaks another major version; one older than 3 is told in its own form."""

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__(
            Severity.FATAL,
            SqlState.FEATURE_NOT_SUPPORTED,
            f"unsupported frontend protocol {version >> 16}.{version & 0xFFFF}: "
            f"server supports 3.0 to 3.{PROTOCOL_3_2 & 0xFFFF}",
        )

    def response(self) -> bytes:
        """Build an ErrorResponse; before version 3 it was a bare string without length."""
        if self.version >= PROTOCOL_3_0:
            return super().response()
        return b"EFATAL:  " + encode_text(self.fields.message) + b"\n\0"


class StartupReader:
    """Read the packets before authentication, split wherever the network split them.

    `feed()` returns at most one event; after a CancelRequest or StartupMessage the reader is done
    and `take_rest()` has the bytes behind it. Raises (from `feed`): ClientError, after which the
    connection is lost.
    """

    __slots__ = ("_asked", "_buffer", "_done", "_is_first", "_max_packet_bytes")

    def __init__(self, max_packet_bytes: int = MAX_STARTUP_PACKET_BYTES) -> None:
        self._max_packet_bytes = max_packet_bytes
        self._buffer = bytearray()
        self._asked: set[Encryption] = set()
        self._is_first = True
        self._done = False

    @property
    def pending(self) -> int:
        """Bytes of an incomplete packet; at end of file, 0 means that nothing was cut off."""
        return len(self._buffer)

    def feed(self, data: bytes) -> StartupEvent | None:
        """Append bytes; return the event that they complete, or None."""
        if self._done:
            raise ValueError("the startup phase is over")
        self._buffer += data
        if self._is_first and self._buffer[:1] == _TLS_HANDSHAKE:
            self._is_first = False
            return DirectTls(self.take_rest())
        packet = self._take_packet()
        if packet is None:
            return None
        self._is_first = False
        event = self._event(_U32.unpack_from(packet)[0], packet[4:])
        if isinstance(event, EncryptionRequest):
            self._check_nothing_follows(event)
        else:
            self._done = True
        return event

    def encrypt(self) -> None:
        """Note that what follows comes through TLS: no encryption may be asked for within it."""
        self._asked.update(Encryption)

    def take_rest(self) -> bytes:
        """Empty the reader: bytes behind the packet that ended the startup phase."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def _take_packet(self) -> bytes | None:
        """Take a whole packet, without its length word."""
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        (length,) = _U32.unpack_from(buffer)
        if length < 8 or length > self._max_packet_bytes:
            raise protocol_violation("invalid length of startup packet")
        if len(buffer) < length:
            return None
        packet = bytes(buffer[4:length])
        del buffer[:length]
        return packet

    def _event(self, code: int, body: bytes) -> StartupEvent:
        if code == CANCEL_REQUEST_CODE:
            return _read_cancel_request(body)
        if code == SSL_REQUEST_CODE and Encryption.SSL not in self._asked:
            return EncryptionRequest(Encryption.SSL)
        if code == GSSENC_REQUEST_CODE and Encryption.GSSAPI not in self._asked:
            return EncryptionRequest(Encryption.GSSAPI)
        if code >> 16 != 3:
            raise UnsupportedProtocol(code)
        return _read_startup_message(code, body)

    def _check_nothing_follows(self, request: EncryptionRequest) -> None:
        """Refuse bytes sent before our answer: they could not be encrypted (CVE-2021-23214)."""
        self._asked.add(request.kind)
        if self._buffer:
            raise protocol_violation(
                f"received unencrypted data after {request.kind.value} request",
                detail="This could be either a client-software bug or evidence of an attempted "
                "man-in-the-middle attack.",
            )


def _read_cancel_request(body: bytes) -> CancelRequest:
    if len(body) < 4:
        raise protocol_violation("invalid length of cancel request packet")
    key = body[4:]
    if not MIN_CANCEL_KEY_BYTES <= len(key) <= MAX_CANCEL_KEY_BYTES:
        raise protocol_violation("invalid length of cancel key in cancel request packet")
    return CancelRequest(_U32.unpack_from(body)[0], key)


def _read_startup_message(version: int, body: bytes) -> StartupMessage:
    pairs = _read_pairs(body)
    replication = _read_replication(pairs.get("replication"))
    user = _cut_name(pairs.get("user", ""))
    if not user:
        raise ClientError(
            Severity.FATAL,
            SqlState.INVALID_AUTHORIZATION_SPECIFICATION,
            "no PostgreSQL user name specified in startup packet",
        )
    return StartupMessage(
        packet=_U32.pack(len(body) + 8) + _U32.pack(version) + body,
        version=version,
        user=user,
        database=_cut_name(pairs.get("database", "")) or user,
        replication=replication,
        options=pairs.get("options", ""),
        parameters={name: pairs[name] for name in pairs if _is_parameter(name)},
        protocol_options=tuple(name for name in pairs if name.startswith(_PROTOCOL_OPTION_PREFIX)),
    )


def _read_pairs(body: bytes) -> dict[str, str]:
    """Read name and value pairs up to the terminator; the last of equal names wins."""
    reader = Body(body)
    pairs: dict[str, str] = {}
    try:
        while name := reader.cstring():
            pairs[name] = reader.cstring()
        reader.end()
    except MalformedBody as exc:
        raise protocol_violation(
            "invalid startup packet layout: expected terminator as last byte"
        ) from exc
    return pairs


def _is_parameter(name: str) -> bool:
    return name not in _NOT_GUCS and not name.startswith(_PROTOCOL_OPTION_PREFIX)


def _cut_name(name: str) -> str:
    return decode_text(encode_text(name)[:MAX_NAME_BYTES])


def _read_replication(value: str | None) -> Replication:
    if value is None:
        return Replication.NONE
    if value == "database":
        return Replication.LOGICAL
    wanted = _read_bool(value)
    if wanted is None:
        raise ClientError(
            Severity.FATAL,
            SqlState.INVALID_PARAMETER_VALUE,
            f'invalid value for parameter "replication": "{value}"',
            'Valid values are: "false", 0, "true", 1, "database".',
        )
    return Replication.PHYSICAL if wanted else Replication.NONE


def _read_bool(text: str) -> bool | None:
    """Read a boolean as PostgreSQL does: any unambiguous beginning of its words, any case."""
    word = text.lower()
    if word == "1" or (word and ("true".startswith(word) or "yes".startswith(word))):
        return True
    if word == "0" or (word and ("false".startswith(word) or "no".startswith(word))):
        return False
    return {"on": True, "of": False, "off": False}.get(word)
