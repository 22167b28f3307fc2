"""Cancel requests: of clients, and of the engine when a client has vanished in a query.

Law: a server that a cancel is on its way to is given to nobody until that cancel has been
delivered or given up; the engine pins it, and every path here lets it go again. A client that
sends a CancelRequest never gets an answer, whatever became of it.
Source: "Message Flow > Canceling Requests in Progress".
"""

from __future__ import annotations

import logging

from greenpool.errors import ServerUnavailable
from greenpool.protocol.startup import CancelRequest
from greenpool.records import CancelTarget, Event
from greenpool.worker import dial
from greenpool.worker.state import Worker

log = logging.getLogger(__name__)


def on_request(worker: Worker, request: CancelRequest) -> None:
    """Carry out a client's CancelRequest. Switches: yes."""
    target = worker.engine.cancel_start(request.backend_pid, request.cancel_key)
    if not isinstance(target, CancelTarget):
        log.debug("cancel request for client %d: %s", request.backend_pid, target.name)
        return
    try:
        deliver(worker, target.pool, target.slot)
    finally:
        worker.engine.cancel_done(target)


def on_event(worker: Worker, event: Event) -> None:
    """Cancel the query of a client that has vanished. Greenlet. Switches: yes."""
    try:
        deliver(worker, event.pool, event.slot)
    finally:
        worker.engine.server_canceled(event.pool, event.slot)


def deliver(worker: Worker, pool: int, slot: int) -> None:
    """Send a CancelRequest to a slot's backend; log it if that fails. Switches: yes.

    Returns when PostgreSQL has signalled the backend, or when that was given up.
    """
    entry = worker.pools.at(pool)
    row = worker.segment.slot_row(pool, slot)
    if entry is None or row is None or not row.key:
        return  # nobody to cancel any more, or a server that gave no key
    try:
        dial.send_cancel(entry.pool, worker.config.general, row.backend_pid, row.key)
    except (ServerUnavailable, OSError) as exc:
        log.warning("cannot cancel backend %d of %s: %s", row.backend_pid, entry, exc)
