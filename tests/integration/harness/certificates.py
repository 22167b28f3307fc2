"""A certificate authority of the tests: keys on P-256 (or RSA), files in PEM.

authority = Authority(directory)
server = authority.issue("localhost", names=["localhost"], addresses=["127.0.0.1"])
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Issued:
    """Hold where a certificate and its key lie."""

    certificate: Path
    key: Path
    serial: int


def make_key(kind: str = "ec") -> Key:
    """Make a key: ec, ed25519, or rsa followed by its size."""
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, int(kind.removeprefix("rsa")))


class Authority:
    """Own a certificate authority, whose files are named after it."""

    def __init__(self, directory: Path, name: str = "authority", kind: str = "ec") -> None:
        self.directory = directory
        self._name = _name_of(name)
        self._key = make_key(kind)
        self._hash = None if kind == "ed25519" else hashes.SHA256()
        self.certificate = directory / f"{name}.crt"
        builder = self._builder(self._name, self._key, timedelta(days=60)).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self._own = builder.sign(self._key, self._hash)
        self.certificate.write_bytes(self._own.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        common_name: str,
        *,
        names: Sequence[str] = (),
        addresses: Sequence[str] = (),
        kind: str = "ec",
        valid: timedelta = 30 * _DAY,
        file: str = "",
    ) -> Issued:
        """Issue a certificate; a `valid` below zero has ended already."""
        key = make_key(kind)
        builder = self._builder(_name_of(common_name), key, valid)
        alternatives = [
            *map(x509.DNSName, names),
            *(x509.IPAddress(ipaddress.ip_address(each)) for each in addresses),
        ]
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), False)
        certificate = builder.sign(self._key, self._hash)
        stem = file or f"{common_name}-{certificate.serial_number:x}"
        issued = Issued(
            self.directory / f"{stem}.crt",
            self.directory / f"{stem}.key",
            certificate.serial_number,
        )
        issued.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        issued.key.touch(mode=0o600)
        issued.key.write_bytes(_pem_of(key))
        return issued

    def revoke(self, *revoked: Issued) -> Path:
        """Write the authority's certificate and a list of revoked ones into one file."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        builder = builder.last_update(now - _DAY).next_update(now + _DAY)
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(each.serial)
            builder = builder.add_revoked_certificate(entry.revocation_date(now - _DAY).build())
        crl = builder.sign(self._key, self._hash)
        file = self.directory / "authority-with-list.pem"
        pem = serialization.Encoding.PEM
        file.write_bytes(self._own.public_bytes(pem) + crl.public_bytes(pem))
        return file

    def _builder(self, subject: x509.Name, key: Key, valid: timedelta) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * _DAY)
            .not_valid_after(now + valid)
        )


def _name_of(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem_of(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
