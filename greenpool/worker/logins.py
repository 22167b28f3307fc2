"""What the log tells of clients: who was let in, who was not, who has gone, and why.

Whoever lets a client in or refuses it, the engine or a session, has it logged here, so that the
words and the fields are the same.
"""

from __future__ import annotations

import logging

from greenpool.engine import now_ns, reason_text
from greenpool.observe import events
from greenpool.protocol.errors import ClientError
from greenpool.protocol.startup import StartupMessage
from greenpool.records import Event, Reason
from greenpool.rows import ClientRow
from greenpool.worker.state import Worker

log = logging.getLogger(__name__)

_NS_PER_S = 1_000_000_000


def on_served(worker: Worker, event: Event) -> None:
    """Log that the engine has let a client in. Runs in the hub."""
    row = worker.segment.client_row(event.client)
    if row is not None:
        log_login(row)


def log_login(row: ClientRow) -> None:
    """Log a client that was let in."""
    events.CLIENT_CONNECTED.tell(
        log,
        user=row.user,
        database=row.database,
        address=row.address,
        client=row.client,
        application=row.application or "-",
        tls=row.tls.replace("/", " ", 1) or "-",
    )


def log_departure(row: ClientRow, reason: Reason) -> None:
    """Log a client that was let in and has gone."""
    events.CLIENT_DISCONNECTED.tell(
        log,
        user=row.user,
        database=row.database,
        address=row.address,
        client=row.client,
        application=row.application or "-",
        why=reason_text(reason),
        reason=reason.name.lower(),
        duration_s=(now_ns() - row.connected_ns) / _NS_PER_S,
        transactions=row.xacts,
        queries=row.queries,
        bytes_received=row.bytes_received,
        bytes_sent=row.bytes_sent,
    )


def on_changed(worker: Worker) -> None:
    """Log the settings that clients have changed. Runs in the hub."""
    while (change := worker.engine.take_change()) is not None:
        events.CLIENT_SETTING_CHANGED.tell(
            log,
            user=change.user,
            database=change.database,
            address=change.address,
            client=change.client,
            parameter=change.name,
            value=change.value,
        )


def name_of(startup: StartupMessage | None, address: str) -> str:
    """Return what logs call a client, as far as it has said who it is."""
    user, database = (startup.user, startup.database) if startup else (None, None)
    return _name(user, database, address)


def log_refusal(startup: StartupMessage | None, address: str, error: ClientError | None) -> None:
    """Log a client that was not let in; `error` None: it has not said enough to be answered."""
    if error is None:
        events.CLIENT_SILENT.tell(log, who=name_of(startup, address))
    else:
        user, database = (startup.user, startup.database) if startup else (None, None)
        _tell_refused(user, database, address, str(error), error.fields.sqlstate)


def log_engines_refusal(row: ClientRow, message: str, sqlstate: str) -> None:
    """Log a client that the engine has not let in, and told so."""
    _tell_refused(row.user, row.database, row.address, message, sqlstate)


def _tell_refused(
    user: str | None, database: str | None, address: str, error: str, sqlstate: str
) -> None:
    events.CLIENT_REFUSED.tell(
        log,
        who=_name(user, database, address),
        error=error,
        sqlstate=sqlstate,
        user=user,
        database=database,
        address=address,
    )


def _name(user: str | None, database: str | None, address: str) -> str:
    return f"client {address}" if user is None else f"client {user}@{database} {address}"
