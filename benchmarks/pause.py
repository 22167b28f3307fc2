"""What clients feel of an upgrade: the worst latency of an open loop while greenpool is replaced.

So many queries a second are due, evenly, whatever greenpool does, and the latency of each counts
from when it was due: a pause is seen in full, and in all that it delays. Beside each run with an
upgrade stands one without, since a busy machine has pauses of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import cpu, load
from benchmarks.contenders import Pooler
from benchmarks.errors import BenchError
from benchmarks.plan import Case
from benchmarks.sample import Latency, Outcome
from greenpool.demo.ending import STOP_DEADLINE_S
from greenpool.demo.errors import DemoError
from greenpool.demo.waiting import wait_until


@dataclass(frozen=True, slots=True)
class Pause:
    """Hold the latencies of one round, without an upgrade and with one in the middle."""

    quiet: Latency
    upgraded: Latency


class Lineage:
    """Stand for a greenpool and those who take over from it: the same port and pid file."""

    def __init__(self, first: Pooler) -> None:
        self.name = first.name
        self.port = first.port
        self._first = first
        self._pid_file = first.settings.directory / f"{first.name}.pid"

    def takes_part(self, case: Case) -> bool:
        return self._first.takes_part(case)

    def usage(self) -> cpu.Usage:
        """Return nothing: the processes of one reading are gone at the next."""
        return {}

    def log_tail(self) -> str:
        return self._first.log_tail()

    def upgrade(self) -> None:
        """Have it replaced by itself. Raises: BenchError."""
        command = (sys.executable, "-m", "greenpool", "upgrade", "--pid-file", str(self._pid_file))
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise BenchError(f"{done.stderr.strip()}\n{self.log_tail()}")

    def stop(self) -> None:
        """End whoever serves now. Raises: BenchError."""
        pid = int(self._pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        try:
            gone = Path(f"/proc/{pid}")
            wait_until(lambda: not gone.exists(), STOP_DEADLINE_S, f"{self.name} does not end")
        except DemoError as exc:
            raise BenchError(f"{exc}\n{self.log_tail()}") from exc


@contextmanager
def lineage(first: Pooler) -> Iterator[Lineage]:
    """Follow a pooler that runs through its upgrades, and end the last of them."""
    subject = Lineage(first)
    try:
        yield subject
    finally:
        subject.stop()


def measure(subject: Lineage, case: Case, seconds: float) -> Pause:
    """Run the load twice, `seconds` each. Raises: BenchError, also when answers are missing."""
    quiet = _latency(load.measure(subject, case, seconds))
    return Pause(quiet, _latency(load.measure(subject, case, seconds, subject.upgrade)))


def _latency(outcome: Outcome) -> Latency:
    if outcome.unanswered or outcome.latency is None:
        raise BenchError(f"{outcome.unanswered} queries were not answered")
    return outcome.latency
