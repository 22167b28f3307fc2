"""Clients that come from other workers of the segment, and go to them: Python's half of it.

A client that moves keeps its row, and the engine has moved all else: here only the descriptor
changes its owner, and nobody logs anything, because nothing has happened to the client.
Partner: `_cparser/move.h`.
"""

from __future__ import annotations

import os

from greenpool.protocol.errors import SqlState
from greenpool.records import Event, Reason
from greenpool.worker import check_query
from greenpool.worker.state import Worker


def on_arrived(worker: Worker, event: Event) -> None:
    """Note a client that the engine serves already. Runs in the hub. Switches: no."""
    worker.clients.add(event.client, event.detail)
    entry = worker.pools.at(event.pool) or worker.found.discover(event.pool)
    if entry is not None:
        check_query.on_client(worker, entry)
        return
    message = "the pool has been removed"  # by a reload that came while it was on its way
    worker.engine.kill(event.client, Reason.KILLED, SqlState.ADMIN_SHUTDOWN, message)


def on_moved(worker: Worker, event: Event) -> None:
    """Let go of a client that another worker serves now. Runs in the hub. Switches: no."""
    fd = worker.clients.remove(event.client)
    if not event.detail:  # else its TLS session stays, and the engine goes on with it
        os.close(fd)
