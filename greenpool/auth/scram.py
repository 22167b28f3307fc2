"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, both sides, as machines fed with SASL messages.

    ScramClient                                        ScramServer
      client-first   n,,n=,r=<nonce>              -->
                     r=<nonce+nonce>,s=<salt>,i=  <--   server-first
      client-final   c=biws,r=<nonce+nonce>,p=    -->
                     v=<signature>                <--   server-final

Within TLS the PLUS variant binds the exchange to the server's certificate (tls-server-end-point):
client-first begins `p=tls-server-end-point,,` and c= holds that and the certificate's hash, so who
is in between with another certificate fails. `y` says "I could, you did not offer it": a lie in
between is found out.

Law: every secret value is compared in constant time; a doomed exchange (unknown user) takes the
same steps as a real one. A misbehaving client meets PostgreSQL's errors (`ClientError`), a
misbehaving server `ServerProtocolError`.
Partner: `secret.py`, which has the keys. Source: RFC 5802, 5929, 7677; "SASL Authentication".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Callable
from enum import Enum
from typing import NoReturn

from greenpool.auth.secret import (
    KEY_BYTES,
    Derive,
    PlainPassword,
    ScramKeys,
    ScramSecret,
    derive_keys,
)
from greenpool.errors import ServerProtocolError
from greenpool.protocol.errors import ClientError, Severity, SqlState, protocol_violation
from greenpool.protocol.message import decode_text, encode_text

MECHANISM = "SCRAM-SHA-256"
MECHANISM_PLUS = "SCRAM-SHA-256-PLUS"

MAX_ITERATIONS = 1_000_000
"""Bound on what a server may ask us to compute: half a second of one core. PostgreSQL: 4096."""

NonceSource = Callable[[], str]

_RAW_NONCE_BYTES = 18
_BINDING_TYPE = "tls-server-end-point"
_BOUND_HEADER = f"p={_BINDING_TYPE},,"
_UNBOUND_FLAGS = frozenset("ny")
_SERVER_FIRST = re.compile(r"r=([!-+\--~]+),s=([A-Za-z0-9+/=]+),i=([1-9]\d{0,9})(?:,.*)?")
_PRINTABLE = re.compile(r"[!-+\--~]*")


def make_nonce(random_bytes: Callable[[int], bytes] = os.urandom) -> str:
    """Return a fresh printable nonce."""
    return _b64(random_bytes(_RAW_NONCE_BYTES))


class ScramState(Enum):
    """Where an exchange stands: which message comes next, or how it ended."""

    FIRST = "first"
    FINAL = "final"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class ScramServer:
    """Verify a client. `feed` takes its messages in turn and returns what to send.

    After FIRST an answer is always sent; after FINAL the answer is empty and the state FAILED if
    the proof is wrong, or if the exchange was doomed from the start. On success `keys` are the
    client's own, which log in wherever the same secret is stored.
    `binding`: the hash of our certificate; empty where there is none to bind to. `is_bound`: the
    client has chosen the PLUS variant.
    """

    def __init__(
        self,
        secret: ScramSecret,
        nonce_source: NonceSource = make_nonce,
        *,
        doomed: bool = False,
        binding: bytes = b"",
        is_bound: bool = False,
    ) -> None:
        self.state = ScramState.FIRST
        self.keys: ScramKeys | None = None
        self._secret = secret
        self._nonce_source = nonce_source
        self._doomed = doomed
        self._binding = binding
        self._is_bound = is_bound
        self._flag = ""
        self._client_first_bare = ""
        self._server_first = ""
        self._nonce = ""

    def feed(self, message: bytes) -> bytes:
        """Take the client's next message. Raises: ClientError; the exchange has FAILED then."""
        state, self.state = self.state, ScramState.FAILED
        text = _decode(message)
        if state is ScramState.FIRST:
            answer = self._answer_first(text)
            self.state = ScramState.FINAL
        elif state is ScramState.FINAL:
            answer = self._answer_final(text)
        else:
            raise protocol_violation("invalid SCRAM exchange state")
        return answer.encode()

    def _answer_first(self, text: str) -> str:
        reader = _Attributes(text)
        self._flag = reader.read_gs2_header(self._is_bound)
        if self._flag == "y" and self._binding:
            raise ClientError(
                Severity.FATAL,
                SqlState.INVALID_AUTHORIZATION_SPECIFICATION,
                "SCRAM channel binding negotiation error",
                detail="The client supports SCRAM channel binding but thinks the server does not.  "
                "However, this server does support channel binding.",
            )
        self._client_first_bare = reader.left
        if reader.left.startswith("m"):
            raise ClientError(
                Severity.FATAL,
                SqlState.FEATURE_NOT_SUPPORTED,
                "client requires an unsupported SCRAM extension",
            )
        reader.value_of("n")
        client_nonce = reader.value_of("r")
        if not _PRINTABLE.fullmatch(client_nonce):
            raise protocol_violation("non-printable characters in SCRAM nonce")
        reader.skip_extensions()
        self._nonce = client_nonce + self._nonce_source()
        salt = _b64(self._secret.salt)
        self._server_first = f"r={self._nonce},s={salt},i={self._secret.iterations}"
        return self._server_first

    def _answer_final(self, text: str) -> str:
        without_proof, proof = self._read_final(text)
        auth_message = _auth_message(self._client_first_bare, self._server_first, without_proof)
        signature = hmac.digest(self._secret.stored_key, auth_message, "sha256")
        client_key = _xor(proof, signature)
        stored_key = hashlib.sha256(client_key).digest()
        fits = hmac.compare_digest(stored_key, self._secret.stored_key)
        if self._doomed or not fits:
            return ""
        self.state = ScramState.SUCCEEDED
        self.keys = ScramKeys(client_key, self._secret.server_key)
        return "v=" + _b64(hmac.digest(self._secret.server_key, auth_message, "sha256"))

    def _read_final(self, text: str) -> tuple[str, bytes]:
        reader = _Attributes(text)
        self._check_binding(reader.value_of("c"))
        nonce = reader.value_of("r")
        while not reader.left.startswith("p"):
            reader.any_value()
        begin = reader.left
        proof = _decode_b64(reader.value_of("p"))
        if proof is None or len(proof) != KEY_BYTES:
            _malformed("Malformed proof in client-final-message.")
        if reader.left:
            _malformed("Garbage found at the end of client-final-message.")
        if not hmac.compare_digest(encode_text(nonce), encode_text(self._nonce)):
            raise protocol_violation("invalid SCRAM response", detail="Nonce does not match.")
        return text[: len(text) - len(begin) - 1], proof

    def _check_binding(self, told: str) -> None:
        if not self._is_bound:
            if told != _b64(f"{self._flag},,".encode()):
                raise protocol_violation(
                    "unexpected SCRAM channel-binding attribute in client-final-message"
                )
            return
        ours = _b64(_BOUND_HEADER.encode() + self._binding)
        if not hmac.compare_digest(encode_text(told), ours.encode()):
            raise ClientError(
                Severity.FATAL,
                SqlState.INVALID_AUTHORIZATION_SPECIFICATION,
                "SCRAM channel binding check failed",
            )


class ScramClient:
    """Log in with a plain password or with SCRAM keys.

    `first()`, then `final(server_first)`, then `verify(server_final)`, which checks that the
    server knows the secret too. Raises: ServerProtocolError.
    `binding`: the hash of the server's certificate, empty where there is none. `is_bound`: the
    server offers the PLUS variant, and it has been chosen.
    """

    def __init__(
        self,
        credential: PlainPassword | ScramKeys,
        nonce_source: NonceSource = make_nonce,
        derive: Derive = derive_keys,
        username: str = "",
        *,
        binding: bytes = b"",
        is_bound: bool = False,
    ) -> None:
        self.state = ScramState.FIRST
        self._header = _BOUND_HEADER if is_bound else ("y,," if binding else "n,,")
        self._binding = binding if is_bound else b""
        self._credential = credential
        self._derive = derive
        self._nonce = nonce_source()
        self._client_first_bare = f"n={username},r={self._nonce}"
        self._server_signature = b""

    def first(self) -> bytes:
        """Build client-first. PostgreSQL ignores the user name in it; libpq sends none."""
        return f"{self._header}{self._client_first_bare}".encode()

    def final(self, server_first: bytes) -> bytes:
        """Answer server-first. Switches: if `derive` does (plain passwords only)."""
        text = server_first.decode("ascii", "replace")
        self._expect(ScramState.FIRST)
        match = _SERVER_FIRST.fullmatch(text)
        if match is None:
            raise ServerProtocolError("malformed SCRAM message: invalid server-first-message")
        nonce, salt, iterations = match[1], _decode_b64(match[2]), int(match[3])
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise ServerProtocolError("invalid SCRAM response: nonce mismatch")
        if not salt or iterations > MAX_ITERATIONS:
            raise ServerProtocolError("malformed SCRAM message: invalid salt or iteration count")
        keys = self._keys(salt, iterations)
        without_proof = f"c={_b64(self._header.encode() + self._binding)},r={nonce}"
        auth_message = _auth_message(self._client_first_bare, text, without_proof)
        proof = _xor(keys.client_key, hmac.digest(keys.stored_key, auth_message, "sha256"))
        self._server_signature = hmac.digest(keys.server_key, auth_message, "sha256")
        self.state = ScramState.FINAL
        return f"{without_proof},p={_b64(proof)}".encode()

    def verify(self, server_final: bytes) -> None:
        """Check server-final: a server that does not know the secret is refused."""
        self._expect(ScramState.FINAL)
        text = server_final.decode("ascii", "replace")
        if text.startswith("e="):
            raise ServerProtocolError(f"error received from server in SCRAM exchange: {text[2:]}")
        kind, _, value = text.partition(",")[0].partition("=")
        signature = _decode_b64(value)
        if kind != "v" or signature is None:
            raise ServerProtocolError("malformed SCRAM message: invalid server-final-message")
        if not hmac.compare_digest(signature, self._server_signature):
            raise ServerProtocolError("incorrect server signature")
        self.state = ScramState.SUCCEEDED

    def _expect(self, state: ScramState) -> None:
        """Check the order of messages; any error leaves the exchange FAILED."""
        if self.state is not state:
            raise ServerProtocolError(f"unexpected SCRAM message in state {self.state.value}")
        self.state = ScramState.FAILED

    def _keys(self, salt: bytes, iterations: int) -> ScramKeys:
        if isinstance(self._credential, ScramKeys):
            return self._credential
        return self._derive(self._credential.password, salt, iterations)


class _Attributes:
    """Read `a=value,b=value` front to back with PostgreSQL's error texts."""

    def __init__(self, text: str) -> None:
        self.left = text

    def read_gs2_header(self, is_bound: bool) -> str:
        """Read up to client-first-bare, return the channel binding flag: `n`, `y` or `p`."""
        flag = self.left[:1]
        if flag == "p":
            self._read_binding_type(is_bound)
        elif flag not in _UNBOUND_FLAGS:
            _malformed(f'Unexpected channel-binding flag "{_show(flag)}".')
        elif is_bound:
            _malformed(
                "The client selected SCRAM-SHA-256-PLUS, "
                "but the SCRAM message does not include channel binding data."
            )
        elif self.left[1:2] != ",":
            _malformed(f'Comma expected, but found character "{_show(self.left[1:2])}".')
        else:
            self.left = self.left[2:]
        self._read_no_identity()
        return flag

    def _read_binding_type(self, is_bound: bool) -> None:
        if not is_bound:
            _malformed(
                "The client selected SCRAM-SHA-256 without channel binding, "
                "but the SCRAM message includes channel binding data."
            )
        kind = self._value()
        if kind != _BINDING_TYPE:
            shown = "".join(char if "!" <= char <= "~" else "?" for char in kind[:30])
            raise protocol_violation(f'unsupported SCRAM channel-binding type "{shown}"')

    def _read_no_identity(self) -> None:
        if self.left[:1] == "a":
            raise ClientError(
                Severity.FATAL,
                SqlState.FEATURE_NOT_SUPPORTED,
                "client uses authorization identity, but it is not supported",
            )
        if self.left[:1] != ",":
            shown = _show(self.left[:1])
            _malformed(f'Unexpected attribute "{shown}" in client-first-message.')
        self.left = self.left[1:]

    def value_of(self, name: str) -> str:
        """Read the attribute that must come next."""
        if not self.left.startswith(name):
            _malformed(f'Expected attribute "{name}" but found "{_show(self.left[:1])}".')
        return self._value()

    def any_value(self) -> str:
        """Read whatever attribute comes next."""
        name = self.left[:1]
        if not name:
            _malformed("Attribute expected, but found end of string.")
        if not (name.isascii() and name.isalpha()):
            _malformed(f'Attribute expected, but found invalid character "{_show(name)}".')
        return self._value()

    def skip_extensions(self) -> None:
        """Read optional extensions to the end; they mean nothing to us."""
        while self.left:
            self.any_value()

    def _value(self) -> str:
        if self.left[1:2] != "=":
            _malformed(f'Expected character "=" for attribute "{self.left[0]}".')
        value, _, self.left = self.left[2:].partition(",")
        return value


def _decode(message: bytes) -> str:
    if not message:
        _malformed("The message is empty.")
    if b"\0" in message:
        _malformed("Message length does not match input length.")
    return decode_text(message)


def _malformed(detail: str) -> NoReturn:
    raise protocol_violation("malformed SCRAM message", detail=detail)


def _show(char: str) -> str:
    """Show a client's character as PostgreSQL does; no control character reaches a log."""
    if "!" <= char <= "~":
        return f"'{char}'"
    return f"0x{encode_text(char)[:1].hex() or '00'}"


def _auth_message(client_first_bare: str, server_first: str, without_proof: str) -> bytes:
    return encode_text(f"{client_first_bare},{server_first},{without_proof}")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode_b64(text: str) -> bytes | None:
    try:
        return base64.b64decode(encode_text(text), validate=True)
    except binascii.Error:
        return None
