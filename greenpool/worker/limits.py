"""Limits on clients that hold over all workers: how many are in, how often they may try.

The numbers are in the shared segment (`_cparser/admission.h`). Clients count once they have proved
who they are, so that nobody can use up a user's connections without its password. Two that come
at once may both find a limit reached, as in PostgreSQL; it is never exceeded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenpool.auth.peer import Peer
from greenpool.protocol.errors import ClientError, Severity, SqlState

if TYPE_CHECKING:
    from greenpool.worker.pools import PoolEntry
    from greenpool.worker.state import Worker

_IPV6_NETWORK_BYTES = 8
"""What one host is given of IPv6 as a rule, a /64: it may choose among its addresses."""


def check_rate(worker: Worker, peer: Peer) -> None:
    """Count a login that an address tries. Raises: ClientError if it tries too often."""
    rate = worker.config.general.login_rate_limit
    if not rate or peer.address is None:
        return
    is_v6 = peer.address.version == 6
    address = peer.address.packed[:_IPV6_NETWORK_BYTES] if is_v6 else peer.address.packed
    if not worker.segment.login_allowed(address, rate):
        raise _too_many(f'too many login attempts from host "{peer.host}"')


def check_counts(worker: Worker, client: int, entry: PoolEntry) -> None:
    """Count a client that is who it says. Raises: ClientError if it is one too many."""
    worker.segment.admit(client)
    general, own_limit = worker.config.general, entry.user.max_client_connections
    user_limit = general.max_user_client_connections
    database_limit = general.max_db_client_connections
    if not (user_limit or database_limit or own_limit):
        return
    counts = worker.segment.client_counts(client)
    if (user_limit and counts.user > user_limit) or (own_limit and counts.both > own_limit):
        raise _too_many(f'too many connections for role "{entry.user.username}"')
    if database_limit and counts.database > database_limit:
        raise _too_many(f'too many connections for database "{entry.pool.name}"')


def _too_many(message: str) -> ClientError:
    return ClientError(Severity.FATAL, SqlState.TOO_MANY_CONNECTIONS, message)
