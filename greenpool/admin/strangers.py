"""What PgBouncer shows of machinery that greenpool has not: peers and a DNS cache.

Tools that read them find the columns, and nothing that is untrue: names are resolved anew for each
connection to a server, and one greenpool uses all cores, so that it has no peers.
"""

from __future__ import annotations

from collections.abc import Iterable

from greenpool.admin.result import Row
from greenpool.admin.view import View
from greenpool.protocol.backend import INT4, INT8, Column

DNS_HOSTS_COLUMNS = (Column("hostname"), Column("ttl", INT8), Column("addrs"))
DNS_ZONES_COLUMNS = (Column("zonename"), Column("serial", INT8), Column("count", INT4))
PEERS_COLUMNS = (
    Column("peer_id", INT4),
    Column("host"),
    Column("port", INT4),
    Column("pool_size", INT4),
)
PEER_POOLS_COLUMNS = tuple(
    Column(name, INT4)
    for name in (
        *("peer_id", "cl_active_cancel_req", "cl_waiting_cancel_req"),
        *("sv_active_cancel", "sv_login"),
    )
)


def none_rows(view: View) -> Iterable[Row]:
    """Make no rows: there are none of these."""
    return ()
