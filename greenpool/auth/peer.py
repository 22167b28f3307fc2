"""What is known of a client before it has proved anything: how it came, and from where.

Partner: the session, which knows the socket; TLS adds what the handshake showed.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class Transport(Enum):
    """How a client's bytes come here."""

    LOCAL = "local"  # a UNIX socket
    TCP = "tcp"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client certificate that the authorities of tls_ca_cert vouch for, and is in date.

    `common_name` is the subject's last CN, empty if it has none; `distinguished_name` the whole
    subject in the form of RFC 2253, as PostgreSQL compares it with `clientname=DN`.
    """

    common_name: str
    distinguished_name: str


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end. `address` is None for a UNIX socket, `uid` for anything else.

    `can_check_certificates`: tls_ca_cert is set, so that a client that has shown no certificate
    could have. `binding`: what SCRAM can bind a login to (`scram.py`), empty without TLS.
    """

    transport: Transport
    address: IpAddress | None = None
    uid: int | None = None
    certificate: Certificate | None = None
    can_check_certificates: bool = False
    binding: bytes = b""

    @property
    def host(self) -> str:
        """The address as error texts name it."""
        return "[local]" if self.address is None else str(self.address)

    @property
    def encryption(self) -> str:
        """The encryption as error texts name it."""
        return "SSL encryption" if self.transport is Transport.TLS else "no encryption"


def parse_address(text: str) -> IpAddress:
    """Read an address as the kernel writes it: without its scope, IPv4 in IPv6 as IPv4."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
