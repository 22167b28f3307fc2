"""What all workers are asked, for the console of one: asking, and answering.

Law: an answer is made in a greenlet of its own, in pieces, so that nobody waits for it; it leaves
what it looks at as it is. A question ends by an answer of every worker, or by its deadline.
Partners: `master/questions.py`, `admin/question.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import count, islice

import gevent

from greenpool.admin.connections import split_address
from greenpool.admin.question import MAX_TEXTS, Topic
from greenpool.admin.question import Told as Row
from greenpool.observe import events
from greenpool.protocol.errors import ClientError, Severity, SqlState
from greenpool.rows import PoolRow
from greenpool.worker.control import Ask, Asked, Heard, Told
from greenpool.worker.listener import Listeners
from greenpool.worker.state import Worker

log = logging.getLogger(__name__)

DEADLINE_S = 5.0
"""A worker that lives answers at once; one that hangs does not serve its clients either."""

_PREVIEW_CHARS = 120
_PIECE = 100
"""Rows of one message: they pass through the master, which has other things to do."""


@dataclass(slots=True)
class Question:
    """One question of this worker's: `admin.question.Poll`."""

    number: int
    deadline_s: float
    now_s: Callable[[], float]
    over: Callable[[int], None]
    told: list[Row] = field(default_factory=list)
    is_answered: bool = False

    def is_done(self) -> bool:
        """Whether all have told all. Raises: ClientError when it has taken too long."""
        if self.is_answered:
            return True
        if self.now_s() < self.deadline_s:
            return False
        self.over(self.number)
        message = "not all workers have answered in time"
        raise ClientError(Severity.ERROR, SqlState.SYSTEM_ERROR, message)


class Questions:
    """One worker's questions, and its answers."""

    __slots__ = ("_listeners", "_numbers", "_open", "_worker")

    def __init__(self, worker: Worker, listeners: Listeners) -> None:
        self._worker = worker
        self._listeners = listeners
        self._numbers = count(1)
        self._open: dict[int, Question] = {}

    def ask(self, topic: Topic) -> Question:
        """Ask all workers, this one among them. Switches: no."""
        worker = self._worker
        deadline_s = worker.now_s() + DEADLINE_S
        question = Question(next(self._numbers), deadline_s, worker.now_s, self._forget)
        self._open[question.number] = question
        worker.tell(Asked(question.number, topic))
        return question

    def on_heard(self, message: Heard) -> None:
        """Take a piece of an answer."""
        question = self._open.get(message.number)
        if question is None:
            return  # its time is over
        question.told.extend(message.rows)
        if message.is_last:
            question.is_answered = True
            self._forget(message.number)

    def on_ask(self, message: Ask) -> None:
        """Answer. Switches: no."""
        gevent.spawn(self._answer, message)

    def _forget(self, number: int) -> None:
        self._open.pop(number, None)

    def _answer(self, message: Ask) -> None:
        """Greenlet: tell it piece by piece; the asker learns in any case that it is the end."""
        try:
            rows = _ANSWERS[message.topic](self)
            while piece := tuple(islice(rows, _PIECE)):
                self._worker.tell(Told(message.asker, message.number, piece, is_last=False))
                gevent.sleep(0)
        except Exception as exc:
            events.BUG.tell(log, exc, what="cannot answer a question")
            return
        self._worker.tell(Told(message.asker, message.number, (), is_last=True))

    # ---- the answers -----------------------------------------------------------------------

    def _statements(self) -> Iterator[Row]:
        worker, segment = self._worker, self._worker.segment
        pools = [row for row in segment.pool_rows() if _has_servers(row)]
        for statement in worker.engine.inventory.statements():
            gevent.sleep(0)
            for pool in pools:
                servers = segment.statement_holders(pool.index, statement.identity)
                if servers:
                    identity, name = str(statement.identity), statement.name
                    text, uses = statement.query, statement.uses
                    yield pool.database, pool.user, identity, name, text, uses, servers

    def _texts(self) -> Iterator[Row]:
        """Tell the largest texts; others run meanwhile, for there may be thousands."""
        yield from nlargest(MAX_TEXTS, self._all_texts(), key=lambda row: row[2])

    def _all_texts(self) -> Iterator[tuple[int, str, int, int, int, str]]:
        for each in self._worker.engine.inventory.statements():
            gevent.sleep(0)
            numbers = each.length, each.refs, each.uses
            yield self._worker.index, str(each.identity), *numbers, each.query[:_PREVIEW_CHARS]

    def _parameters(self) -> Iterator[Row]:
        return self._worker.lookups.parameters()

    def _descriptors(self) -> Iterator[Row]:
        worker, segment = self._worker, self._worker.segment
        inventory = worker.engine.inventory
        for fd, address in self._listeners.descriptors():
            yield worker.index, fd, "pooler", None, None, *split_address(address), None
        for client in list(worker.engine.clients()):
            row, client_fd = segment.client_row(client), inventory.client_fd(client)
            if row is None or client_fd is None or worker.engine.is_own(client):
                continue
            names, where = (row.user, row.database), split_address(row.address)
            link = inventory.server_fd(row.pool - 1, row.slot - 1) if row.slot else None
            yield worker.index, client_fd, "client", *names, *where, link
        for pool in segment.pool_rows():
            for slot in segment.slot_rows(pool.index):
                server_fd = inventory.server_fd(pool.index, slot.index)
                if slot.worker == worker.index and server_fd is not None:
                    names, where = (pool.user, pool.database), split_address(slot.address)
                    link = inventory.client_fd(slot.client) if slot.client else None
                    yield worker.index, server_fd, "server", *names, *where, link


def _has_servers(row: PoolRow) -> bool:
    return row.sv_active + row.sv_idle + row.sv_canceled > 0


_ANSWERS: Mapping[Topic, Callable[[Questions], Iterator[Row]]] = {
    Topic.STATEMENTS: Questions._statements,
    Topic.TEXTS: Questions._texts,
    Topic.PARAMETERS: Questions._parameters,
    Topic.DESCRIPTORS: Questions._descriptors,
}
