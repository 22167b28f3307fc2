"""How many clients an address may have, and how often it may try to log in, over all workers.

The numbers are in the shared segment (`_cparser/admission.h`). How many clients of a name may be in
is for the engine to see, once they have proved who they are (`_cparser/entrance.c`).
Law: of IPv6 one /64 is an address, which is what one host is given as a rule: it may choose among
its addresses. UNIX sockets have none.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from greenpool.auth.peer import IpAddress, Peer, parse_address
from greenpool.protocol.errors import ClientError, Severity, SqlState

if TYPE_CHECKING:
    from greenpool.worker.state import Worker

ADMIN_CLIENTS = 8
"""Connections beyond its limit that an address may have, if they ask for the admin's console."""

_IPV6_NETWORK_BYTES = 8


class AddressLimitReached(ClientError):
    """An address has too many clients, or tries too often."""

    def __init__(self, message: str) -> None:
        super().__init__(Severity.FATAL, SqlState.TOO_MANY_CONNECTIONS, message)


def check_count(worker: Worker, client: int, host: str, is_admin: bool) -> None:
    """Count the row of a client from `host`. Raises: AddressLimitReached if it is one too many."""
    if not host:
        return
    limit = worker.config.general.max_address_client_connections
    if limit and is_admin:
        limit += ADMIN_CLIENTS
    if not worker.segment.client_from(client, network_of(host), limit):
        raise AddressLimitReached(f'too many connections from host "{parse_address(host)}"')


def check_rate(worker: Worker, peer: Peer) -> None:
    """Count a login that an address tries. Raises: AddressLimitReached if it tries too often."""
    rate = worker.config.general.login_rate_limit
    if not rate or peer.address is None:
        return
    if not worker.segment.login_allowed(_network(peer.address), rate):
        raise AddressLimitReached(f'too many login attempts from host "{peer.host}"')


def logins_limit(limit: int) -> int:
    """Return how many may be logging in at a time where `limit` may be connected.

    Twice as many, which is PostgreSQL's own bound on backends that have not authenticated yet.
    """
    return 2 * limit


@lru_cache(1024)
def network_of(host: str) -> bytes:
    """Return the address as which a host is counted; empty for a UNIX peer."""
    return _network(parse_address(host)) if host else b""


def _network(address: IpAddress) -> bytes:
    return address.packed[:_IPV6_NETWORK_BYTES] if address.version == 6 else address.packed
