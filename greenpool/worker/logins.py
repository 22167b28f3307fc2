"""The log of those who were let in, by the engine or by a session."""

from __future__ import annotations

import logging

from greenpool.records import Event
from greenpool.worker.state import Worker

log = logging.getLogger(__name__)


def on_served(worker: Worker, event: Event) -> None:
    """Log that the engine has let a client in. Runs in the hub."""
    row = worker.segment.client_row(event.client)
    if row is not None:
        who = f"client {row.user}@{row.database} {row.address}"
        log_login(who, event.client, row.application, row.tls.replace("/", " ", 1))


def log_login(who: str, client: int, application: str, secured_by: str) -> None:
    """Log a client that is called `who`; `secured_by`: its TLS version and cipher, or nothing."""
    log.info(
        "%s: logged in as %d, application %s%s",
        *(who, client, application or "-", f", {secured_by}" if secured_by else ""),
    )
