"""Cancel requests: of clients, and of the engine for a query that nobody waits for any more.

Law: a server that a cancel is on its way to is given to nobody until that cancel has been
delivered or given up; the engine pins it, and every path here lets it go again. A client that
sends a CancelRequest never gets an answer, whatever became of it.
Source: "Message Flow > Canceling Requests in Progress".
"""

from __future__ import annotations

import logging

from greenpool.config import Pool
from greenpool.errors import ServerUnavailable
from greenpool.observe import events
from greenpool.protocol import frontend
from greenpool.protocol.encryption import Step
from greenpool.protocol.startup import CancelRequest
from greenpool.records import CancelTarget, Event
from greenpool.rows import SlotRow
from greenpool.worker import dial, openings, server_tls
from greenpool.worker.state import Worker

log = logging.getLogger(__name__)


def on_request(worker: Worker, request: CancelRequest) -> None:
    """Carry out a client's CancelRequest. Switches: yes."""
    target = worker.engine.cancel_start(request.backend_pid, request.cancel_key)
    if not isinstance(target, CancelTarget):
        events.CANCEL_UNKNOWN.tell(log, client=request.backend_pid, why=target.name.lower())
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


def on_overdue(worker: Worker, event: Event) -> None:
    """Cancel a query that has run for query_timeout. Greenlet. Switches: yes."""
    try:
        deliver(worker, event.pool, event.slot)
    finally:
        worker.engine.cancel_done(CancelTarget(event.pool, event.slot, event.detail))


def deliver(worker: Worker, pool: int, slot: int) -> None:
    """Send a CancelRequest to a slot's backend; log it if that fails. Switches: yes.

    Returns when PostgreSQL has signalled the backend, or when that was given up.
    """
    entry = worker.pools.at(pool)
    row = worker.segment.slot_row(pool, slot)
    if entry is None or row is None or not row.key:
        return  # nobody to cancel any more, or a server that gave no key
    try:
        send(worker, entry.pool, row)
    except (ServerUnavailable, OSError) as exc:
        openings.log_uncancelled(entry, row, exc)


def send(worker: Worker, pool: Pool, row: SlotRow) -> None:
    """Send a CancelRequest and wait until PostgreSQL has acted on it: it closes the connection.

    With TLS where the server connection has it, so that the key stays as secret as it was.
    Raises: ServerUnavailable; OSError and TimeoutError when it does not answer within
    cancel_wait_timeout.
    """
    raw = dial.connect(pool, worker.config.general)
    try:
        raw.settimeout(pool.cancel_wait_timeout_ms / 1000)
        sock = server_tls.secure(worker, pool, raw, Step.TLS if row.tls else Step.PLAIN)
        sock.sendall(frontend.cancel_request(row.backend_pid, row.key))
        while sock.recv(64):
            pass
    finally:
        raw.close()
