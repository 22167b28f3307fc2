"""What one worker asks of all, passed on in both directions. Runs in master.

    asker ──Asked──► here ──Ask──► every worker that serves ──Told──► here ──Heard──► asker

Law: a question is over when each worker that it was passed to has answered or died; the asker is
told so with the last piece. Nothing is kept but who owes an answer. Partner: `worker/questions.py`.
"""

from __future__ import annotations

from greenpool.master.slot import WorkerSlot, WorkerState
from greenpool.master.workers import Workers
from greenpool.worker.control import Ask, Asked, Heard, Told

_Question = tuple[int, int]  # pid of the asker, the asker's number of it


class Questions:
    """The questions that are under way."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._owed: dict[_Question, set[int]] = {}  # pids

    def pass_on(self, asker: WorkerSlot, asked: Asked) -> None:
        """Ask everyone who serves."""
        question = asker.pid, asked.number
        message = Ask(asker.pid, asked.number, asked.topic)
        serving = [slot for slot in self._workers.alive() if slot.state is WorkerState.READY]
        self._owed[question] = {each.pid for each in serving if self._workers.send(each, message)}
        self._settle(question)

    def answer(self, slot: WorkerSlot, told: Told) -> None:
        """Pass a piece of an answer back."""
        question = told.asker, told.number
        if question not in self._owed:
            return
        if told.rows:
            self._tell(question, Heard(told.number, told.rows, is_last=False))
        if told.is_last:
            self._owed[question].discard(slot.pid)
            self._settle(question)

    def manage(self) -> None:
        """Wait for nobody who has died, and for nobody on behalf of one."""
        if not self._owed:
            return
        alive = {slot.pid for slot in self._workers.alive()}
        for question in list(self._owed):
            if question[0] not in alive:
                del self._owed[question]
            elif not self._owed[question] <= alive:
                self._owed[question] &= alive
                self._settle(question)

    def _settle(self, question: _Question) -> None:
        """Tell the asker if nobody owes an answer any more."""
        if not self._owed[question]:
            del self._owed[question]
            self._tell(question, Heard(question[1], (), is_last=True))

    def _tell(self, question: _Question, heard: Heard) -> None:
        for slot in self._workers.alive():
            if slot.pid == question[0]:
                self._workers.send(slot, heard)
