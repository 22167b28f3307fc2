"""Come to an end in order: what was started last ends first, and no signal disturbs it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

STOP_DEADLINE_S = 20.0

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def undisturbed_stack(stop: type[BaseException]) -> Iterator[ExitStack]:
    """Give a stack that SIGINT, SIGTERM and SIGHUP unwind: the first of them raises `stop`.

    While it unwinds they say nothing; then the old handlers are back. Children need sessions of
    their own, or a Ctrl-C ends them too. Must be called by the main thread.
    """

    def unwind(number: int, frame: FrameType | None) -> None:
        _ignore_signals()
        raise stop

    previous = {each: signal.signal(each, unwind) for each in _STOP_SIGNALS}
    try:
        with ExitStack() as stack:
            try:
                yield stack
            finally:
                _ignore_signals()
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


def end_process(process: subprocess.Popen[bytes], *ladder: signal.Signals) -> None:
    """Send each signal in turn, then SIGKILL, until the process ends; STOP_DEADLINE_S for each."""
    for number in (*ladder, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_DEADLINE_S)
            break


def _ignore_signals() -> None:
    for each in _STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
