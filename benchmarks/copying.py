"""One COPY of many megabytes through one contender, driven by psql; nothing of it is stored.

Out: rows that PostgreSQL makes as it sends them, into /dev/null. In: the same rows from a pipe; a
condition that no row meets drops them. The window is psql's whole life, a login included.
"""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import IO

from benchmarks.contenders import Contender
from benchmarks.errors import BenchError
from benchmarks.memory import pss_bytes
from benchmarks.plan import Case, Scenario
from benchmarks.sample import Outcome, Window
from greenpool.demo.load import Target

TABLE = "copied"
"""Has one column of text and stays empty; `server.py` creates it."""

_ROW = b"x" * 1023 + b"\n"
_ROWS_PER_MB = 1024
_LOOK_EVERY_S = 0.1
_PATIENCE_S = 30
_SLOWEST_MB_PER_S = 5


def measure(contender: Contender, target: Target, case: Case) -> Outcome:
    """Copy once. Raises: BenchError with what psql said."""
    is_in = case.scenario is Scenario.COPY_IN
    memory_before = pss_bytes(contender)
    before, start_s = contender.usage(), time.monotonic()
    with subprocess.Popen(
        _command(target, case),
        env=target.environment(),
        stdin=subprocess.PIPE if is_in else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            peak = _follow(process, contender, case)
        finally:
            process.kill()
        after, end_s = contender.usage(), time.monotonic()
        assert process.stderr is not None, "started with a pipe"
        if process.returncode != 0:
            raise BenchError(f"psql failed: {process.stderr.read().decode().strip()}")
    window = Window(start_s, end_s, before, after)
    return Outcome(window, case.size, latency=None, grown_bytes=max(0, peak - memory_before))


def _command(target: Target, case: Case) -> list[str]:
    rows = case.size * _ROWS_PER_MB
    out = f"copy (select repeat('x', {len(_ROW) - 1}) from generate_series(1, {rows})) to stdout"
    sql = out if case.scenario is Scenario.COPY_OUT else f"copy {TABLE} from stdin where false"
    psql = Path(target.pgbench).with_name("psql")  # takes the same options
    return replace(target, pgbench=str(psql)).command("-XAtqc", sql)


def _follow(process: subprocess.Popen[bytes], contender: Contender, case: Case) -> int:
    """Feed psql if it wants to be fed, wait for its end; return the contender's highest memory."""
    feeder = None
    if process.stdin is not None:
        feeder = threading.Thread(target=_feed, args=(process.stdin, case.size))
        feeder.start()
    peak, deadline_s = 0, time.monotonic() + _PATIENCE_S + case.size / _SLOWEST_MB_PER_S
    while process.poll() is None:
        peak = max(peak, pss_bytes(contender))
        if time.monotonic() > deadline_s:
            process.kill()
        try:
            process.wait(_LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            continue
    if feeder is not None:
        feeder.join()
    return peak


def _feed(pipe: IO[bytes], megabytes: int) -> None:
    block = _ROW * _ROWS_PER_MB
    try:
        with pipe:
            for _ in range(megabytes):
                pipe.write(block)
    except BrokenPipeError:
        return  # psql has ended, and says why
