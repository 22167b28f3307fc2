"""Keys of each kind for tests of JSON web tokens, and their public halves as files hold them."""

from __future__ import annotations

import datetime
import json
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.UTC)

RSA = rsa.generate_private_key(65537, 2048)
RSA_OTHER = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
ALGORITHMS: dict[Any, str] = {RSA: "RS256", RSA_OTHER: "RS256", EC: "ES256", ED: "EdDSA"}


def token(key: Any, headers: dict[str, str] | None = None, **claims: object) -> str:
    """Sign a token that is good for a minute and made out to ann, unless claims say otherwise."""
    expires = NOW + datetime.timedelta(hours=1)
    all_claims = {"preferred_username": "ann", "exp": expires, **claims}
    all_claims = {name: value for name, value in all_claims.items() if value is not None}
    return jwt.encode(all_claims, key, algorithm=ALGORITHMS[key], headers=headers)


def pem(key: Any) -> str:
    """Return the public half as PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    data: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, form)
    return data.decode()


def private_pem(key: Any) -> str:
    form = serialization.PrivateFormat.PKCS8
    encoding, encryption = serialization.Encoding.PEM, serialization.NoEncryption()
    data: bytes = key.private_bytes(encoding, form, encryption)
    return data.decode()


def certificate(key: Any) -> str:
    """Return a certificate of the public half, signed by itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tokens")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + datetime.timedelta(days=1))
    signed = builder.sign(key, None if key is ED else hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def jwk(key: Any, **more: object) -> dict[str, Any]:
    """Return the public half as a JSON web key."""
    makers: dict[str, Any] = {
        "RS256": jwt.algorithms.RSAAlgorithm.to_jwk,
        "ES256": jwt.algorithms.ECAlgorithm.to_jwk,
        "EdDSA": jwt.algorithms.OKPAlgorithm.to_jwk,
    }
    return {**json.loads(makers[ALGORITHMS[key]](key.public_key())), **more}


def jwks(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": list(keys)})
