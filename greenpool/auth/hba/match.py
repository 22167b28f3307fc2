"""Which rule speaks of a client: the first that fits, and no other.

Law: pure but for `Surroundings`, which are asked only when a rule needs them, so that a login
costs no name lookup unless a rule names a host.
Source: "Client Authentication > The pg_hba.conf File"; PostgreSQL `check_hba`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from greenpool.auth.peer import IpAddress, Peer, Transport
from greenpool.config import (
    Address,
    AddressKeyword,
    ConnectionType,
    HbaRule,
    HostName,
    NameKind,
    NamePattern,
    Network,
)
from greenpool.protocol.errors import ClientError, Severity, SqlState
from greenpool.protocol.startup import Replication

_TRANSPORTS = {
    ConnectionType.LOCAL: frozenset((Transport.LOCAL,)),
    ConnectionType.HOST: frozenset((Transport.TCP, Transport.TLS)),
    ConnectionType.HOSTSSL: frozenset((Transport.TLS,)),
    ConnectionType.HOSTNOSSL: frozenset((Transport.TCP,)),
}


@dataclass(frozen=True, slots=True)
class Request:
    """Who wants to come in, and where to."""

    peer: Peer
    user: str
    database: str
    replication: Replication = Replication.NONE


Interface: TypeAlias = tuple[IpAddress, Network]
"""An address of this machine and the network around it."""


class Surroundings(Protocol):
    """What only the operating system and the name service know."""

    def interfaces(self) -> Iterable[Interface]:
        """Return this machine's addresses."""

    def host_name(self, address: IpAddress) -> str | None:
        """Return the name that an address has, in lower case; None: none. Switches: yes."""

    def addresses(self, name: str) -> Iterable[IpAddress]:
        """Return the addresses that a name has. Switches: yes."""


def find_rule(
    rules: Iterable[HbaRule], request: Request, surroundings: Surroundings
) -> HbaRule | None:
    """Return the rule that decides; None: none, and the client is refused.

    Switches: if a rule names a host.
    """
    for rule in rules:
        if (
            request.peer.transport in _TRANSPORTS[rule.type]
            and _fits_database(rule.databases, request)
            and _fits_user(rule.users, request.user)
            and _fits_address(rule.address, request.peer.address, surroundings)
        ):
            return rule
    return None


def no_entry(request: Request) -> ClientError:
    """Make the error for a client that no rule speaks of."""
    kind = "replication connection from " if _is_walsender(request) else ""
    return _refusal(f"no pg_hba.conf entry for {kind}{_who(request)}")


def rejected(request: Request) -> ClientError:
    """Make the error for a client that a rule rejects."""
    kind = "replication " if _is_walsender(request) else ""
    return _refusal(f"pg_hba.conf rejects {kind}connection for {_who(request)}")


def fits_name(pattern: NamePattern, name: str) -> bool:
    """Say whether a pattern that needs nothing else matches a name."""
    if pattern.kind is NameKind.ALL:
        return True
    if pattern.regex is not None:
        return pattern.regex.search(name) is not None
    return pattern.kind is NameKind.LITERAL and pattern.text == name


def _is_walsender(request: Request) -> bool:
    """Say whether it is for physical replication, which has no database."""
    return request.replication is Replication.PHYSICAL


def _refusal(message: str) -> ClientError:
    return ClientError(Severity.FATAL, SqlState.INVALID_AUTHORIZATION_SPECIFICATION, message)


def _who(request: Request) -> str:
    peer = request.peer
    database = "" if _is_walsender(request) else f'database "{request.database}", '
    return f'host "{peer.host}", user "{request.user}", {database}{peer.encryption}'


def _fits_database(patterns: Iterable[NamePattern], request: Request) -> bool:
    if _is_walsender(request):
        return any(each.kind is NameKind.REPLICATION for each in patterns)
    return any(
        request.database == request.user
        if each.kind is NameKind.SAMEUSER
        else fits_name(each, request.database)
        for each in patterns
    )


def _fits_user(patterns: Iterable[NamePattern], user: str) -> bool:
    return any(fits_name(each, user) for each in patterns)


def _fits_address(
    rule: Address | None, address: IpAddress | None, surroundings: Surroundings
) -> bool:
    if rule is None or address is None:
        return rule is None and address is None
    if isinstance(rule, Network):
        return _is_in(address, rule)
    if isinstance(rule, HostName):
        return _is_host(address, rule.name, surroundings)
    if rule is AddressKeyword.ALL:
        return True
    if rule is AddressKeyword.SAMEHOST:
        return any(address == own for own, _ in surroundings.interfaces())
    return any(_is_in(address, network) for _, network in surroundings.interfaces())


def _is_in(address: IpAddress, network: Network) -> bool:
    is_near = (int(address) ^ network.address) & network.mask == 0
    return address.version == network.version and is_near


def _is_host(address: IpAddress, wanted: str, surroundings: Surroundings) -> bool:
    """Say whether the address has that name, and the name that address (PostgreSQL does both)."""
    name = surroundings.host_name(address)
    if name is None or not (name == wanted or (wanted[0] == "." and name.endswith(wanted))):
        return False
    return address in surroundings.addresses(name)
