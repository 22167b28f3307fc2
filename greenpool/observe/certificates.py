"""When certificates end: those that greenpool shows, and those of its authorities.

Read from the text that the configuration holds (`config.PemFile`), so what is told is what is in
force, not what lies in the file by now. Files that hold more than AUTHORITIES_MAX authorities are
those of a whole system, which renews them itself: they are left out.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from cryptography import x509

from greenpool.config import Config, PemFile, ServerTlsMode, TlsMode
from greenpool.observe import events

log = logging.getLogger(__name__)

AUTHORITIES_MAX = 32


class Use(Enum):
    """What a certificate is there for."""

    CLIENT = "client"  # shown to clients, its chain behind it
    CLIENT_AUTHORITY = "client_authority"
    SERVER = "server"  # shown to servers
    SERVER_AUTHORITY = "server_authority"


_OWN = frozenset((Use.CLIENT, Use.SERVER))


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate; times are seconds of the calendar."""

    use: Use
    database: str
    """The pool that it is for; empty: clients, or all pools that have none of their own."""
    path: str
    subject: str
    serial: str
    """Hexadecimal, as openssl prints it."""
    not_before_s: float
    not_after_s: float


def certificates_of(config: Config) -> list[Certificate]:
    """List all that a configuration makes use of, each once for clients and once for a pool."""
    found: dict[Certificate, None] = {}
    for use, database, file in _files(config):
        certificates = _parse(file)
        if use in _OWN or len(certificates) <= AUTHORITIES_MAX:
            found.update((_describe(use, database, file, each), None) for each in certificates)
    return list(found)


def _files(config: Config) -> Iterator[tuple[Use, str, PemFile]]:
    general = config.general
    if general.tls_mode is not TlsMode.DISABLE:
        if general.tls_certificate is not None:
            yield Use.CLIENT, "", general.tls_certificate
        if general.tls_ca_cert is not None:
            yield Use.CLIENT_AUTHORITY, "", general.tls_ca_cert
    for pool in config.pools.values():
        if pool.server_tls_mode is ServerTlsMode.DISABLE:
            continue
        own, authorities = pool.server_tls_certificate, pool.server_tls_ca_cert
        if own is not None:
            yield Use.SERVER, "" if own == general.server_tls_certificate else pool.name, own
        if authorities is not None:
            name = "" if authorities == general.server_tls_ca_cert else pool.name
            yield Use.SERVER_AUTHORITY, name, authorities


@lru_cache(maxsize=64)
def _parse(file: PemFile) -> tuple[x509.Certificate, ...]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of oddities that OpenSSL, who judges, puts up with
            return tuple(x509.load_pem_x509_certificates(file.text))
    except ValueError as exc:
        events.CERTIFICATE_UNREADABLE.tell(log, path=file, error=exc)
        return ()


def _describe(use: Use, database: str, file: PemFile, found: x509.Certificate) -> Certificate:
    return Certificate(
        use=use,
        database=database,
        path=str(file),
        subject=found.subject.rfc4514_string(),
        serial=f"{found.serial_number:X}",
        not_before_s=found.not_valid_before_utc.timestamp(),
        not_after_s=found.not_valid_after_utc.timestamp(),
    )
