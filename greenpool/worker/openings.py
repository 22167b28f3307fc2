"""What the log tells of servers: which were opened, which were closed, and why some could not be.

Whoever opens or ends a server has it logged here, as clients are in `logins`.
"""

from __future__ import annotations

import logging

from greenpool.auth.server_login import ServerGreeting
from greenpool.engine import now_ns, reason_text
from greenpool.observe import events
from greenpool.records import Reason
from greenpool.rows import SlotRow
from greenpool.tls import TlsFacts
from greenpool.worker.pools import PoolEntry

log = logging.getLogger(__name__)

_NS_PER_S = 1_000_000_000


def log_opened(
    entry: PoolEntry, slot: int, greeting: ServerGreeting, address: str, tls: TlsFacts | None
) -> None:
    """Log a server that has been given to the engine."""
    database, user = entry.key
    events.SERVER_OPENED.tell(
        log,
        user=user,
        database=database,
        slot=slot,
        backend_pid=greeting.backend_pid,
        address=address,
        tls=f"{tls.version} {tls.cipher}" if tls else "-",
    )


def log_closed(entry: PoolEntry, row: SlotRow, reason: Reason) -> None:
    """Log a server that is given up, whichever side wants it so."""
    database, user = entry.key
    events.SERVER_CLOSED.tell(
        log,
        user=user,
        database=database,
        slot=row.index,
        address=row.address,
        backend_pid=row.backend_pid,
        why=reason_text(reason),
        reason=reason.name.lower(),
        duration_s=(now_ns() - row.opened_ns) / _NS_PER_S,
        transactions=row.xacts,
    )


def log_unusable(entry: PoolEntry, why: Exception) -> None:
    """Log a server that has logged in and cannot be given to the engine."""
    database, user = entry.key
    events.SERVER_UNUSABLE.tell(log, user=user, database=database, error=why)


def log_failure(entry: PoolEntry, why: Exception) -> None:
    """Log a login that PostgreSQL has refused, or that has not come so far."""
    database, user = entry.key
    events.SERVERS_FAILING.tell(log, user=user, database=database, error=why)


def log_recovery(entry: PoolEntry) -> None:
    """Log the first login that succeeds again."""
    database, user = entry.key
    events.SERVERS_BACK.tell(log, user=user, database=database)


def log_lower_protocol(entry: PoolEntry, why: Exception) -> None:
    """Log that protocol 3.0 is asked for from now on."""
    database, user = entry.key
    events.PROTOCOL_LOWERED.tell(log, user=user, database=database, error=why)


def log_password(entry: PoolEntry, why: Exception | None) -> None:
    """Log that there is another password; `why`: that there is none to be had."""
    database, user = entry.key
    if why is None:
        events.PASSWORD_REPLACED.tell(log, user=user, database=database)
    else:
        events.PASSWORD_UNKNOWN.tell(log, user=user, database=database, error=why)


def log_uncancelled(entry: PoolEntry, row: SlotRow, why: Exception) -> None:
    """Log a server whose query could not be cancelled."""
    database, user = entry.key
    events.CANCEL_FAILED.tell(
        log,
        user=user,
        database=database,
        slot=row.index,
        backend_pid=row.backend_pid,
        error=why,
    )
