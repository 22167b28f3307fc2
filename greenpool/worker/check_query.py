"""`pooler_check_query`: what clients ask only to see that somebody is there.

    NEW --set_up--> KNOWN     an empty query such as ";": its answer is the protocol's
    NEW --set_up--> UNKNOWN --a client--> ASKED --PostgreSQL's answer--> KNOWN
                       ^--no answer--------/ (too long to be a check: it stays ASKED)

While it is KNOWN, the engine answers it without a server to any client that is at rest. In other
states, inside transactions and in the extended protocol it is a query like any other: the bytes
are always those of PostgreSQL and of this pool, as they were when this worker asked.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import gevent

from greenpool.observe import events
from greenpool.protocol import backend, frontend
from greenpool.protocol.errors import ClientError
from greenpool.protocol.message import BackendType, build
from greenpool.worker import probe
from greenpool.worker.pools import CheckState, PoolEntry

if TYPE_CHECKING:
    from greenpool.worker.state import Worker

log = logging.getLogger(__name__)

MAX_REPLY_BYTES = 16384
"""What is longer is no check, and stays an ordinary query."""

_DEADLINE_S = 60.0

# What PostgreSQL's scanner skips, and what separates statements.
_NO_STATEMENT = " \t\n\r\f\v;"
# Messages that belong to no answer.
_ASIDES = frozenset(
    {BackendType.NOTICE_RESPONSE, BackendType.PARAMETER_STATUS, BackendType.NOTIFICATION_RESPONSE}
)


def set_up(worker: Worker) -> None:
    """Tell the engine what is known about pools that are new. Switches: no."""
    for entry in worker.pools:
        set_up_one(worker, entry)


def set_up_one(worker: Worker, entry: PoolEntry) -> None:
    """Tell the engine what is known about one pool, if it is new. Switches: no."""
    if entry.check is CheckState.NEW:
        _set_up(worker, entry)


def on_client(worker: Worker, entry: PoolEntry) -> None:
    """Ask PostgreSQL when the first client is there who may want to know. Switches: no."""
    if entry.check is CheckState.UNKNOWN and not worker.is_leaving:
        entry.check = CheckState.ASKED
        worker.questions.spawn(_ask, worker, entry)


def _set_up(worker: Worker, entry: PoolEntry) -> None:
    query = entry.pool.pooler_check_query
    worker.engine.answer(entry.index, b"", b"")  # what an older configuration said
    if not query:
        entry.check = CheckState.KNOWN
    elif not query.strip(_NO_STATEMENT):
        _know(worker, entry, backend.empty_query_response() + backend.ready_for_query())
    else:
        entry.check = CheckState.UNKNOWN


def _ask(worker: Worker, entry: PoolEntry) -> None:
    """Greenlet: have the pool answer it once. Switches: yes."""
    try:
        with gevent.Timeout(_DEADLINE_S):
            messages = probe.answer(worker, entry, frontend.query(entry.pool.pooler_check_query))
    except (ClientError, gevent.Timeout) as exc:
        log.debug("%s: pooler_check_query is not answered: %s", entry, exc)
        entry.check = CheckState.UNKNOWN
        worker.engine.forget_plans(entry.index)  # so that the next client is seen here
        return
    except Exception as exc:
        events.BUG.tell(log, exc, what=f"{entry}: cannot ask pooler_check_query")
        return
    reply = b"".join(build(each.type, each.body) for each in messages if each.type not in _ASIDES)
    if worker.pools.at(entry.index) is not entry:
        return  # a reload was quicker, and its entry asks for itself
    if len(reply) > MAX_REPLY_BYTES or not reply.endswith(backend.ready_for_query()):
        database, user = entry.key
        events.CHECK_QUERY_LEFT.tell(log, user=user, database=database)
        return
    _know(worker, entry, reply)


def _know(worker: Worker, entry: PoolEntry, reply: bytes) -> None:
    worker.engine.answer(entry.index, frontend.query(entry.pool.pooler_check_query), reply)
    entry.check = CheckState.KNOWN
