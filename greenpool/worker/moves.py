"""Clients that come from other workers of the segment: Python's half of it.

A client that moves keeps its row, and the engine has moved all else. Nobody logs anything, because
nothing has happened to the client. Partner: `_cparser/move.h`.
"""

from __future__ import annotations

from greenpool.protocol.errors import SqlState
from greenpool.records import Event, Reason
from greenpool.worker import check_query
from greenpool.worker.state import Worker


def on_arrived(worker: Worker, event: Event) -> None:
    """See that a client which is served already has a pool. Runs in the hub. Switches: no."""
    entry = worker.pools.at(event.pool) or worker.found.discover(event.pool)
    if entry is not None:
        check_query.on_client(worker, entry)
        return
    message = "the pool has been removed"  # by a reload that came while it was on its way
    worker.engine.kill(event.client, Reason.KILLED, SqlState.ADMIN_SHUTDOWN, message)
