"""The end of a client that the engine served: log it, close it, give back its row.

Runs in the hub for most clients: an idle client that leaves costs no greenlet either. Where there
is nothing to log, those who leave by themselves do not come here at all (`Worker.adopt`).
"""

from __future__ import annotations

import logging
import os

import gevent
from gevent import socket

from greenpool.records import Event, Reason
from greenpool.worker.logins import log_departure, log_engines_refusal
from greenpool.worker.sockets import take_leave
from greenpool.worker.state import Worker

log = logging.getLogger(__name__)

# The client itself ended it: there is nothing left to say that a reset could destroy.
_OWN_WISH = frozenset(
    {Reason.CLIENT_TERMINATE, Reason.CLIENT_EOF, Reason.CLIENT_IO, Reason.LOGIN_LEFT}
)


def on_event(worker: Worker, event: Event) -> None:
    """Take leave of one client. Runs in the hub. Switches: no."""
    client, reason = event.client, Reason(event.detail)
    is_own = worker.engine.is_own(client)
    if worker.proofs:
        _wake(worker, client, reason)
    if reason is Reason.REFUSED:
        _log_refusal(worker, client)
    elif reason is Reason.LOGIN_LEFT:
        log.debug("client %d: gone during login", client)
    elif worker.config.general.log_client_disconnections and not is_own:
        _log(worker, client, reason)
    fd = worker.engine.forget(client)
    if reason not in _OWN_WISH:
        gevent.spawn(take_leave, socket.socket(fileno=fd))
    elif worker.config.general.tcp_so_linger_s:
        worker.threads.spawn(os.close, fd)  # close(2) waits for SO_LINGER, nonblocking or not
    else:
        os.close(fd)


def _wake(worker: Worker, client: int, reason: Reason) -> None:
    """Wake the session, if there is one, that waits for what becomes of the client."""
    proof = worker.proofs.pop(client, None)
    if proof is not None:
        proof.set(reason)


def _log_refusal(worker: Worker, client: int) -> None:
    """Log what the engine has told it; its session has logged what it told itself."""
    row, fault = worker.segment.client_row(client), worker.engine.fault(client)
    if row is not None and fault is not None:
        log_engines_refusal(row, fault.message, fault.sqlstate)


def _log(worker: Worker, client: int, reason: Reason) -> None:
    row = worker.segment.client_row(client)
    if row is not None:
        log_departure(row, reason)
