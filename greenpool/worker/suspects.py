"""Functions that change sessions in secret: when PostgreSQL is asked for them.

                    login of a server --(no list)--\\
    a definition seen by the engine --(event)-------+--> question --> answer --> engine, all workers
    janitor --(the list is old, and in use)--------/

Until there is a list the engine takes every text for suspect, so the pool's first server is asked
before any client can have it. A definition that passes through greenpool makes the lists of its
database void; one that is made elsewhere is found when the list is old. Partners:
`suspects_question.py`, and `_cparser/suspects.h`, which says how workers share a list.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping

import gevent

from greenpool.config import PoolMode, SessionState
from greenpool.errors import GreenpoolError
from greenpool.observe import events
from greenpool.protocol import frontend
from greenpool.protocol.errors import ClientError
from greenpool.protocol.message import Message, encode_text
from greenpool.records import Event, SuspectFlags
from greenpool.worker import probe
from greenpool.worker.pools import PoolEntry
from greenpool.worker.state import Worker
from greenpool.worker.suspects_question import Suspects, question_of_suspects, read_suspects
from greenpool.worker.tls_socket import AnySocket

log = logging.getLogger(__name__)

PERIOD_S = 10.0
"""How old a list that is used becomes: so late are definitions noticed that are made elsewhere."""

SHARE = 0.01
"""The question takes no more than this share of the time: of a database with ten thousand functions
the list becomes older."""

SETTLE_S = 0.05
"""Definitions come in crowds: the question waits until so much after the first of them."""

_DEADLINE_S = 60.0
_LOGIN_DEADLINE_S = 5.0


def at_login(
    worker: Worker, entry: PoolEntry, sock: AnySocket, parameters: Mapping[str, str]
) -> None:
    """Ask a server that nobody has had yet, if the pool has no list.

    Switches: yes. Raises: OSError, and what the caller's own deadline raises; the server is of no
    use then. What PostgreSQL refuses is no reason not to use it.
    """
    is_known, as_of = worker.engine.suspects_known(entry.index)
    if is_known or not _is_wanted(entry) or entry.search.is_slow:
        return
    try:
        with gevent.Timeout(_LOGIN_DEADLINE_S):
            messages = probe.converse(
                sock, frontend.query(question_of_suspects(_version(parameters)))
            )
            _tell(worker, entry, as_of, messages)
    except gevent.Timeout as exc:
        entry.search.is_slow = True
        raise TimeoutError(f"no list of functions within {_LOGIN_DEADLINE_S:g} s") from exc
    except ClientError as exc:
        database, user = entry.key
        events.FUNCTIONS_UNKNOWN.tell(log, user=user, database=database, error=exc)


def on_event(worker: Worker, event: Event) -> None:
    """Ask, since the pool's list is void. Switches: no."""
    entry = worker.pools.at(event.pool)
    if entry is not None:
        _start(worker, entry)


def tick(worker: Worker) -> None:
    """Ask for the lists that are old. Call about once a second. Switches: no."""
    for entry in worker.pools:
        _start(worker, entry)


def _start(worker: Worker, entry: PoolEntry) -> None:
    if worker.is_leaving:
        return
    if _is_wanted(entry) and not entry.search.is_running and _is_due(worker, entry):
        entry.search.is_running = True
        worker.questions.spawn(_search, worker, entry)


def _is_wanted(entry: PoolEntry) -> bool:
    """Whether the engine cares for what sessions become."""
    is_shared = entry.user.pool_mode is not PoolMode.SESSION
    return is_shared and entry.pool.session_state is not SessionState.OFF


def _is_due(worker: Worker, entry: PoolEntry) -> bool:
    period_s = max(PERIOD_S, entry.search.took_s / SHARE)
    return worker.engine.suspects_due(entry.index, period_s)


def _search(worker: Worker, entry: PoolEntry) -> None:
    """Greenlet: ask as a client of the pool, until nothing has become void meanwhile."""
    try:
        is_due = True
        while is_due:
            gevent.sleep(SETTLE_S)
            with gevent.Timeout(_DEADLINE_S):
                _ask(worker, entry)
            is_due = worker.pools.at(entry.index) is entry and _is_due(worker, entry)
    except (GreenpoolError, gevent.Timeout) as exc:
        log.debug("%s: cannot ask which functions change sessions: %s", entry, exc)
    except Exception as exc:
        events.BUG.tell(log, exc, what=f"{entry}: cannot ask which functions change sessions")
    finally:
        entry.search.is_running = False


def _ask(worker: Worker, entry: PoolEntry) -> None:
    _, as_of = worker.engine.suspects_known(entry.index)
    began_s = worker.now_s()
    question = question_of_suspects(_version(entry.parameters or {}))
    messages = probe.answer(worker, entry, frontend.query(question))
    entry.search.took_s = worker.now_s() - began_s
    _tell(worker, entry, as_of, messages)


def _tell(worker: Worker, entry: PoolEntry, as_of: int, messages: Iterable[Message]) -> None:
    found = read_suspects(_rows(messages))
    flags = SuspectFlags.ANY if found.is_any else SuspectFlags(0)
    flags |= SuspectFlags.HIDE if found.hides else SuspectFlags(0)
    words = b"\0".join(encode_text(word) for word in sorted(found.words))
    settings = "".join(f",{name}" for name in sorted(found.settings))
    worker.engine.tell_suspects(entry.index, as_of, flags, words, encode_text(settings))
    if found != entry.search.found:
        entry.search.found = found
        _report(entry, found)


def _report(entry: PoolEntry, found: Suspects) -> None:
    database, user = entry.key
    if found.is_any:
        events.FUNCTIONS_ANY.tell(log, user=user, database=database)
    elif found.words:
        count = len(found.words)
        events.FUNCTIONS_FOUND.tell(log, user=user, database=database, functions=count)


def _rows(messages: Iterable[Message]) -> Iterator[tuple[str | None, ...]]:
    return (row for message in messages if (row := probe.row_of(message)) is not None)


def _version(parameters: Mapping[str, str]) -> int:
    """Return server_version_num as far as it can be told; 0: an old server, or none of these."""
    major = parameters.get("server_version", "").partition(".")[0].partition(" ")[0]
    digits = "".join(each for each in major if each.isascii() and each.isdigit())
    return int(digits or 0) * 10000
