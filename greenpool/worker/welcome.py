"""What a client needs to know of PostgreSQL, and PostgreSQL of the client, before it is served.

Most logins find the state of an earlier client with the same settings and do not come here; most
others know the pool's parameters from an earlier login, in whatever worker, and ask nobody: then a
client is let in although all servers are taken. Otherwise the pool is asked (`probe.py`), once for
all clients that want to know the same.
Partner: `startup_state.py`, which is the pure part.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from gevent.event import AsyncResult

from greenpool.errors import GreenpoolError
from greenpool.observe import events
from greenpool.worker import canonical, probe, startup_state
from greenpool.worker.pools import PoolEntry
from greenpool.worker.startup_state import SessionState
from greenpool.worker.state import Worker

log = logging.getLogger(__name__)


def find_state(worker: Worker, entry: PoolEntry, settings: Mapping[str, str]) -> SessionState:
    """Find the state for a client's startup settings, and remember it.

    Switches: maybe; the caller has a deadline. Raises: ClientError, PostgreSQL's own where it
    refuses a setting or no server can be had.
    """
    defaults = _defaults(worker, entry)
    fixed = frozenset({"application_name"} if entry.pool.application_name is not None else ())
    spelled = canonical.spell(settings, defaults)
    wanted = startup_state.wanted_settings(spelled, defaults, fixed)
    if not startup_state.is_self_evident(wanted):
        rows = probe.ask(worker, entry, startup_state.question(wanted))
        wanted = startup_state.understood(wanted, rows)
    state = startup_state.make_state(wanted, defaults, worker.boot_secret)
    entry.remember(settings, state, defaults)
    return state


def _defaults(worker: Worker, entry: PoolEntry) -> Mapping[str, str]:
    """Return what fresh servers of the pool report: as remembered, or else by asking one."""
    while (parameters := entry.parameters) is None:
        if entry.asking is None:
            entry.asking = AsyncResult()
            worker.questions.spawn(_ask_defaults, worker, entry, entry.asking)
        answer = entry.asking.get()
        if isinstance(answer, GreenpoolError):
            raise answer
    return parameters


def _ask_defaults(worker: Worker, entry: PoolEntry, answer: AsyncResult) -> None:
    """Greenlet: ask for all who wait, whoever of them gives up meanwhile."""
    error: GreenpoolError | None = None
    try:
        rows = probe.ask(worker, entry, startup_state.question({}))
        if entry.parameters is None:  # a login may have told meanwhile
            entry.learn(startup_state.reported(rows))
    except GreenpoolError as exc:
        error = exc
    except Exception as exc:
        events.BUG.tell(log, exc, what=f"cannot ask {entry}")
        error = GreenpoolError(f"cannot ask {entry}: {exc}")
    finally:
        entry.asking = None
        answer.set(error)
