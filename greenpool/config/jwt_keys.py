"""Public keys that JSON web tokens are checked with: PEM keys or certificates, or a JWKS file.

They are read and understood when the configuration is, so that a wrong file is told with all other
problems, and a worker needs no access to it. Keys are told apart by their kind: RSA means RS256,
P-256 ES256, Ed25519 EdDSA. So a token cannot choose an algorithm that its key is not meant for.
Source: RFC 7517 (JWK), RFC 7518 section 3, RFC 8037.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from greenpool.config.key import Invalid

JWT_KEY_PREFIX = "jwt-pkey-fpath:"
MIN_RSA_BITS = 2048
"""What RFC 7518 asks of RS256."""

_PRIVATE = "PRIVATE KEY-----"
_PEM = re.compile(r"-----BEGIN (PUBLIC KEY|CERTIFICATE)-----.*?-----END \1-----", re.DOTALL)
_KINDS = frozenset(("RSA", "EC", "OKP"))


@dataclass(frozen=True, slots=True)
class JwtKeys:
    """A file of public keys: its path and its text. Nothing in it is secret."""

    path: Path
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class JwtKey:
    """One key; `key_id` None: tokens of any key id may be signed by it."""

    key_id: str | None
    algorithm: str
    key: Any


def read_jwt_keys(path: Path) -> JwtKeys:
    """Read a file of keys. Blocks. Raises: Invalid."""
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise Invalid(f'cannot read "{path}": {error.strerror}') from error
    except ValueError as error:
        raise Invalid(f'"{path}" is not UTF-8') from error
    try:
        parse_jwt_keys(text)
    except ValueError as error:
        raise Invalid(f'"{path}" {error}') from error
    return JwtKeys(path, text)


@cache
def parse_jwt_keys(text: str) -> tuple[JwtKey, ...]:
    """Return the keys of a file's text. Raises: ValueError with what is wrong with it."""
    if _PRIVATE in text:
        raise ValueError("holds a private key: greenpool needs the public one")
    keys = _from_json(text) if text.startswith("{") else _from_pem(text)
    if not keys:
        raise ValueError("holds no public key, neither in PEM form nor as JWKS")
    return tuple(keys)


def _from_pem(text: str) -> list[JwtKey]:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    keys: list[JwtKey] = []
    for match in _PEM.finditer(text):
        data = match[0].encode()
        try:
            if match[1] == "PUBLIC KEY":
                key: Any = load_pem_public_key(data)
            else:
                key = x509.load_pem_x509_certificate(data).public_key()
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(f"cannot be read: {error}") from error
        keys.append(JwtKey(None, _algorithm(key), key))
    return keys


def _from_json(text: str) -> list[JwtKey]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"is not valid JSON: {error}") from error
    items = found.get("keys", [found])
    if not isinstance(items, list) or not all(isinstance(each, dict) for each in items):
        raise ValueError('holds no list of keys under "keys"')
    return [_from_jwk(each) for each in items if _is_for_signatures(each)]


def _is_for_signatures(item: dict[str, Any]) -> bool:
    """Say whether a key of a set concerns us: others sign by other algorithms, or encrypt."""
    return item.get("kty") in _KINDS and item.get("use", "sig") == "sig"


def _from_jwk(item: dict[str, Any]) -> JwtKey:
    import jwt

    if "d" in item:
        raise ValueError("holds a private key: greenpool needs the public one")
    try:
        key = jwt.PyJWK(item).key
    except (jwt.PyJWTError, KeyError, TypeError) as error:
        raise ValueError(f"holds a key that cannot be read: {error}") from error
    key_id = item.get("kid")
    return JwtKey(key_id if isinstance(key_id, str) else None, _algorithm(key), key)


def _algorithm(key: Any) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise ValueError(f"holds an RSA key of less than {MIN_RSA_BITS} bits")
        return "RS256"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1":
        return "ES256"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "EdDSA"
    raise ValueError("holds a key that is neither RSA, P-256 nor Ed25519")
