"""Signals of the master: handlers enqueue, the loop acts.

Python writes the number of every signal that arrives into a pipe (signal.set_wakeup_fd) whose
other end the loop's selector watches. So nothing runs inside a handler, nothing is missed while
the loop is busy, and a signal wakes it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from types import FrameType


class Verb(Enum):
    """What a signal asks of the master."""

    RELOAD = auto()
    DRAIN = auto()
    QUIT = auto()
    REAP = auto()
    UPGRADE = auto()


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the signal table."""

    number: signal.Signals
    verb: Verb
    doc: str


TABLE = (
    Entry(signal.SIGHUP, Verb.RELOAD, "read the configuration again"),
    Entry(signal.SIGTERM, Verb.DRAIN, "finish transactions, then exit; again: exit now"),
    Entry(signal.SIGINT, Verb.DRAIN, "finish transactions, then exit; again: exit now"),
    Entry(signal.SIGQUIT, Verb.QUIT, "exit now"),
    Entry(signal.SIGCHLD, Verb.REAP, "a worker has ended"),
    Entry(signal.SIGUSR2, Verb.UPGRADE, "have the installed version take over"),
)
NUMBERS = frozenset(entry.number for entry in TABLE)

_VERBS = {int(entry.number): entry.verb for entry in TABLE}
_BATCH_BYTES = 4096


class SignalQueue:
    """Catch the signals of the table from `install` to `restore`. Main thread only."""

    def __init__(self) -> None:
        self._read_fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._previous: dict[signal.Signals, object] = {}
        self._previous_fd = -1

    def fileno(self) -> int:
        """Return the descriptor that is readable while signals wait in the queue."""
        return self._read_fd

    def install(self) -> None:
        # A full pipe holds 64 K signals: what is lost then are repetitions.
        self._previous_fd = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        for number in NUMBERS:
            self._previous[number] = signal.signal(number, _enqueued_by_python)

    def take(self) -> list[Verb]:
        """Empty the queue; verbs in order of arrival."""
        verbs: list[Verb] = []
        while True:
            try:
                batch = os.read(self._read_fd, _BATCH_BYTES)
            except BlockingIOError:
                return verbs
            verbs += [_VERBS[number] for number in batch if number in _VERBS]

    def restore(self) -> None:
        """Put everything back as it was before `install` and close the pipe."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() gave
        signal.set_wakeup_fd(self._previous_fd)
        self.close_in_child()

    def close_in_child(self) -> None:
        """Close the pipe, which `forget` has disconnected. Runs after fork."""
        os.close(self._read_fd)
        os.close(self._write_fd)


@contextmanager
def blocked() -> Iterator[None]:
    """Hold the table's signals back: around a fork, until the child has its own handlers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def forget() -> None:
    """Give a freshly forked child the default actions. Runs after fork, signals blocked."""
    signal.set_wakeup_fd(-1)
    for number in NUMBERS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)


def _enqueued_by_python(number: int, frame: FrameType | None) -> None:
    """Do nothing: the interpreter has already written the number into the pipe."""
