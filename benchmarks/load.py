"""One run of `load` (C) against one contender: closed loop, or open loop at a fixed rate.

`load` logs in with all clients, warms up, says "begin", measures, says "end", prints its figures as
JSON once all that was due has been answered, and stays connected until its standard input is
closed: so the contender's CPU is read at both ends of the window, and no goodbye is in it.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import cpu
from benchmarks.contenders import Contender
from benchmarks.errors import BenchError
from benchmarks.plan import Case, Scenario
from benchmarks.sample import Latency, Outcome, Window
from benchmarks.server import DATABASE, USER
from benchmarks.tools import tool

_WARM_UP_S = 1.0
_CLIENTS_PER_S = 1000
"""Clients for which a second is long enough: ten thousand take turns of more than a second each."""
_PATIENCE_S = 90
"""How much longer than planned a run may take: logins, and answers that are overdue."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Hold when a word was read, and the contender's CPU then."""

    at_s: float
    usage: cpu.Usage


def measure(
    contender: Contender,
    case: Case,
    seconds: float,
    meanwhile: Callable[[], None] | None = None,
    exchange: str | None = None,
) -> Outcome:
    """Run `load` once; call `meanwhile` within the window. Blocks for `seconds` and some more.

    `exchange`: what is asked, as `_cparser/bench/exchange.h` names it; None: as the case's mode.

    Raises: BenchError with what it said.
    """
    warm_up_s, seconds = stretch(case.clients, seconds)
    command = _command(contender.port, case, exchange, warm_up_s, seconds)
    with _running(command, warm_up_s + seconds) as process:
        begin = _await(process, "begin", contender)
        if meanwhile is not None:
            meanwhile()
        end = _await(process, "end", contender)
        said = _read_line(process)
    window = Window(begin.at_s, end.at_s, begin.usage, end.usage)
    return read_outcome(said, window)


def read_outcome(said: str, window: Window) -> Outcome:
    """Read the figures. Raises: BenchError when nothing was measured."""
    figures = json.loads(said)
    if not figures["transactions"]:
        raise BenchError("no transaction ended within the window")
    latency = Latency(*(figures[f"{name}_ms"] for name in ("mean", "p50", "p99", "p999", "max")))
    return Outcome(window, figures["transactions"], latency, unanswered=figures["unanswered"])


def stretch(clients: int, seconds: float) -> tuple[float, float]:
    """Return how long to warm up, and to measure, so that every client has several turns."""
    turns_s = clients / _CLIENTS_PER_S
    return max(_WARM_UP_S, turns_s / 2), max(seconds, turns_s)


def _command(
    port: int, case: Case, exchange: str | None, warm_up_s: float, seconds: float
) -> list[str]:
    rate = case.size if case.scenario is Scenario.OPEN else 0
    return [
        *(str(tool("load")), str(port), f"user={USER}", f"database={DATABASE}"),
        *(f"exchange={exchange or case.mode.value}", f"clients={case.clients}", f"rate={rate}"),
        *(f"warm_up={warm_up_s}", f"seconds={seconds}"),
    ]


@contextmanager
def _running(command: list[str], seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Run it until the body ends, then to its end; by force when it takes far too long."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(seconds + _PATIENCE_S, process.kill)
    watchdog.start()
    try:
        yield process
        process.communicate("")
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def _await(process: subprocess.Popen[str], word: str, contender: Contender) -> Moment:
    line = _read_line(process)
    if line != word:
        raise BenchError(f'load said "{line}", not "{word}"')
    return Moment(time.monotonic(), contender.usage())


def _read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None, "started with pipes"
    assert process.stderr is not None, "started with pipes"
    line = process.stdout.readline()
    if not line:
        raise BenchError(process.stderr.read().strip() or "load was ended: it took too long")
    return line.strip()
