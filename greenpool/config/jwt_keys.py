"""Public keys that JSON web tokens are checked with: a PEM key or certificate, or a JWKS file.

They are read when the configuration is, so that a wrong file is told with all other problems and
a worker needs no access to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from greenpool.config.key import Invalid

JWT_KEY_PREFIX = "jwt-pkey-fpath:"
_PRIVATE = "PRIVATE KEY-----"
_FORMS = ("-----BEGIN PUBLIC KEY-----", "-----BEGIN CERTIFICATE-----", "{")


@dataclass(frozen=True, slots=True)
class JwtKeys:
    """A file of public keys: its path and its text. Nothing in it is secret."""

    path: Path
    text: str


def read_jwt_keys(path: Path) -> JwtKeys:
    """Read a file of keys. Blocks. Raises: Invalid."""
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise Invalid(f'cannot read "{path}": {error.strerror}') from error
    except ValueError as error:
        raise Invalid(f'"{path}" is not UTF-8') from error
    if _PRIVATE in text:
        raise Invalid(f'"{path}" holds a private key: greenpool needs the public one')
    if not text.startswith(_FORMS):
        raise Invalid(f'"{path}" is neither a public key in PEM form nor a JWKS file')
    return JwtKeys(path, text)
