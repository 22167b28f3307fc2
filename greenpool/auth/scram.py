"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the client's side, as a machine fed with SASL messages.

    ScramClient                                        PostgreSQL
      client-first   n,,n=,r=<nonce>              -->
                     r=<nonce+nonce>,s=<salt>,i=  <--   server-first
      client-final   c=biws,r=<nonce+nonce>,p=    -->
                     v=<signature>                <--   server-final

Within TLS the PLUS variant binds the exchange to the server's certificate (tls-server-end-point):
client-first begins `p=tls-server-end-point,,` and c= holds that and the certificate's hash, so who
is in between with another certificate fails. `y` says "I could, you did not offer it": a lie in
between is found out.

Law: every secret value is compared in constant time; a server that misbehaves meets
`ServerProtocolError`. Our own clients prove themselves to `_cparser/scram.c`.
Partner: `secret.py`, which has the keys. Source: RFC 5802, 5929, 7677; "SASL Authentication".
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
from collections.abc import Callable
from enum import Enum

from greenpool.auth.secret import (
    Derive,
    PlainPassword,
    ScramKeys,
    derive_keys,
)
from greenpool.errors import ServerProtocolError
from greenpool.protocol.message import encode_text

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
