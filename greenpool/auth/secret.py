"""Stored secrets and the credentials that a login yields.

A *secret* verifies a client that logs in here: plain, md5 or SCRAM, as in the configuration or in
`pg_authid.rolpassword`. A *credential* logs us in at PostgreSQL: a plain password, an md5 hash, or
SCRAM keys that were recovered from a client's proof, without anybody having a plain password.

Law: nothing here shows itself in `repr()`; a plain password meets PBKDF2 once, in
`prepare_secret`, so that verifying a client costs the same whatever its secret.
Source: "Database Roles > Password"; catalog pg_authid; RFC 5802 section 3.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from greenpool.auth.saslprep import prepare_password
from greenpool.errors import GreenpoolError
from greenpool.protocol.message import encode_text
from greenpool.records import SALT_BYTES_MAX

KEY_BYTES = 32
DEFAULT_ITERATIONS = 4096
"""PostgreSQL's default of `scram_iterations`."""

SALT_BYTES = 16

_MD5_HASH = re.compile(r"md5[0-9a-f]{32}")
_SCRAM_SECRET = re.compile(r"SCRAM-SHA-256\$(\d{1,10}):([^$:]*)\$([^$:]*):([^$:]*)", re.ASCII)
_SCRAM_PREFIX = "SCRAM-SHA-256$"


class SecretError(GreenpoolError):
    """A configured secret that cannot be used; its text never holds the secret itself."""


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """ClientKey and ServerKey: all that a SCRAM login needs in place of the password."""

    client_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @property
    def stored_key(self) -> bytes:
        """StoredKey, what a server keeps of ClientKey."""
        return hashlib.sha256(self.client_key).digest()


Derive = Callable[[str, bytes, int], ScramKeys]
"""`derive_keys` or a stand-in that runs it on a thread pool and caches what it returns."""


@dataclass(frozen=True, slots=True)
class ScramSecret:
    """What a server stores to verify a SCRAM login."""

    iterations: int
    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    def text(self) -> str:
        """Return PostgreSQL's form, `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`."""
        salt, stored, server = map(_b64, (self.salt, self.stored_key, self.server_key))
        return f"{_SCRAM_PREFIX}{self.iterations}:{salt}${stored}:{server}"


@dataclass(frozen=True, slots=True)
class Md5Hash:
    """`md5` and the hex digest of password and user name: a secret and a credential in one."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PlainPassword:
    """A plain password, which can answer whatever PostgreSQL asks for."""

    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PlainSecret:
    """A plain password in the configuration, with the SCRAM secret that was prepared from it."""

    password: str = field(repr=False)
    scram: ScramSecret


Secret = PlainSecret | Md5Hash | ScramSecret
Credential = PlainPassword | Md5Hash | ScramKeys


def derive_keys(password: str, salt: bytes, iterations: int) -> ScramKeys:
    """Run PBKDF2 over a password: about two milliseconds for 4096 iterations.

    Releases the GIL and depends on its arguments only: call it on a thread pool, cache the result.
    Switches: no; a stand-in that does is welcome wherever `Derive` is asked for.
    """
    salted = hashlib.pbkdf2_hmac("sha256", prepare_password(password), salt, iterations)
    return ScramKeys(
        hmac.digest(salted, b"Client Key", "sha256"),
        hmac.digest(salted, b"Server Key", "sha256"),
    )


def build_scram_secret(
    password: str,
    salt: bytes,
    iterations: int = DEFAULT_ITERATIONS,
    derive: Derive = derive_keys,
) -> ScramSecret:
    """Build the secret that PostgreSQL would store for a password."""
    keys = derive(password, salt, iterations)
    return ScramSecret(iterations, salt, keys.stored_key, keys.server_key)


def prepare_secret(
    text: str,
    user: str,
    mock_key: bytes,
    derive: Derive = derive_keys,
    iterations: int = DEFAULT_ITERATIONS,
) -> Secret:
    """Read a configured secret and make it ready to verify logins.

    The salt for a plain password is the one that `mock_salt` gives the same user without any
    secret, and both have the same iterations, so that a client cannot tell the two apart.
    Costs one `derive` for a plain password: do it when the configuration is loaded, not at the
    first login. Raises: SecretError.
    """
    if _MD5_HASH.fullmatch(text):
        return Md5Hash(text)
    if text.startswith(_SCRAM_PREFIX):
        return parse_scram_secret(text)
    if not text:
        raise SecretError("the password is empty")
    salt = mock_salt(user, mock_key)
    return PlainSecret(text, build_scram_secret(text, salt, iterations, derive))


def parse_scram_secret(text: str) -> ScramSecret:
    """Read `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`. Raises: SecretError."""
    match = _SCRAM_SECRET.fullmatch(text)
    if match is None:
        raise SecretError("invalid SCRAM secret: expected SCRAM-SHA-256$iterations:salt$key:key")
    iterations = int(match[1])
    try:
        salt, stored, server = (
            base64.b64decode(part, validate=True) for part in match.groups()[1:]
        )
    except ValueError:
        raise SecretError("invalid SCRAM secret: salt and keys must be base64") from None
    if not 1 <= iterations < 1 << 31 or not salt:
        raise SecretError("invalid SCRAM secret: iterations and salt must not be empty")
    if len(salt) > SALT_BYTES_MAX:
        raise SecretError(f"invalid SCRAM secret: the salt has more than {SALT_BYTES_MAX} bytes")
    if len(stored) != KEY_BYTES or len(server) != KEY_BYTES:
        raise SecretError(f"invalid SCRAM secret: a key has {KEY_BYTES} bytes")
    return ScramSecret(iterations, salt, stored, server)


def mock_salt(user: str, mock_key: bytes) -> bytes:
    """Return the salt of a user without a secret: the same at every try, different for each."""
    return hmac.digest(mock_key, encode_text(user), "sha256")[:SALT_BYTES]


def mock_secret(user: str, mock_key: bytes, iterations: int = DEFAULT_ITERATIONS) -> ScramSecret:
    """Return a secret that looks like any other and that no password fits."""
    nothing = bytes(KEY_BYTES)
    return ScramSecret(iterations, mock_salt(user, mock_key), nothing, nothing)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
