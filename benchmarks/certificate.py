"""The certificate that poolers show in the rows with TLS: one for all, made anew for each run."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CERTIFICATE = "tls.crt"
KEY = "tls.key"

_LIFETIME = datetime.timedelta(days=2)


def make(directory: Path) -> None:
    """Write a self-signed certificate for 127.0.0.1 and its key, for every user to read.

    P-256: what authorities sign today, and cheap enough to leave something else to be measured.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LIFETIME)
        .not_valid_after(now + _LIFETIME)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / CERTIFICATE).write_bytes(certificate.public_bytes(pem))
    (directory / KEY).write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
