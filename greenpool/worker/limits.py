"""How often an address may try to log in, over all workers.

The numbers are in the shared segment (`_cparser/admission.h`). How many clients may be in is for
the engine to see, once they have proved who they are (`_cparser/entrance.c`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenpool.auth.peer import Peer
from greenpool.protocol.errors import ClientError, Severity, SqlState

if TYPE_CHECKING:
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
        message = f'too many login attempts from host "{peer.host}"'
        raise ClientError(Severity.FATAL, SqlState.TOO_MANY_CONNECTIONS, message)
