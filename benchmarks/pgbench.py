"""One pgbench run against one contender, and what the contender's processes spent meanwhile.

      pgbench starts        its first report             the window ends
    ------|--- logins ---|------ 1 s ------|====== window ======|-- goodbyes
                                           ^ CPU, clock         ^ CPU, clock, SIGALRM

Logging in, filling the pool and saying goodbye stay outside of the window. All figures are about
the same transactions: those that pgbench's log says to have ended within the window. SIGALRM is
what pgbench sends itself when its time (-T) is over; ours comes first, because -T counts whole
seconds and begins before the logins, of which nobody knows how long they take.
"""

from __future__ import annotations

import math
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.contenders import Contender
from benchmarks.errors import BenchError
from benchmarks.plan import PIPELINE_DEPTH, Case, Mode, Scenario
from benchmarks.sample import Outcome, Window, latency_of
from greenpool.demo.load import Target, read_figures

WARM_UP_S = 1
"""pgbench's shortest reporting interval: its first report begins the window."""

_PATIENCE_S = 60
"""How much longer than planned a run may take (many logins) before it is called stuck."""

_LOG_LINES = 400_000
_TRANSACTIONS_PER_S = 50_000
"""Only a share of the transactions is logged where more than _LOG_LINES are to be expected."""


_SET_X = "\\set x random(1, 100000)\n"
_SELECT_X = "select :x;\n"
_ROW_BYTES = 1 << 20


def measure(contender: Contender, target: Target, case: Case, seconds: float) -> Outcome:
    """Run pgbench once. Blocks for `seconds` and some more.

    Raises: BenchError with what pgbench said.
    """
    with tempfile.TemporaryDirectory(prefix="greenpool-bench-log-") as name:
        directory = Path(name)
        share = min(1.0, _LOG_LINES / (_TRANSACTIONS_PER_S * seconds))
        options = _options(case, directory, seconds, share)
        with _running(target, options, seconds) as process:
            window = _watch(process, contender, seconds)
        latencies_us = read_latencies(_log_lines(directory), window.start_s, window.end_s)
    if not latencies_us:
        raise BenchError("no transaction ended within the window")
    count = round(len(latencies_us) / share)
    return Outcome(window, count, latency_of(latencies_us), log_share=share)


def read_latencies(lines: Iterator[str], start_s: float, end_s: float) -> list[int]:
    """Read pgbench's log: the latencies (us), sorted, of what ended within the window.

    Source: pgbench, "Per-Transaction Logging":
    client_id transaction_no time script_no time_epoch time_us
    """
    start_us, end_us = round(start_s * 1e6), round(end_s * 1e6)
    found: list[int] = []
    for line in lines:
        _, _, latency, _, epoch_s, rest_us = line.split()[:6]
        if start_us <= int(epoch_s) * 1_000_000 + int(rest_us) < end_us:
            found.append(int(latency))
    found.sort()
    return found


def script_of(case: Case) -> str | None:
    """Return the text for pgbench -f; None: the script is built into pgbench."""
    if case.scenario is Scenario.SELECT_ONLY:
        return None
    if case.scenario is Scenario.RESULT:
        return f"select repeat('x', {_ROW_BYTES});\n"
    if case.mode is Mode.PIPELINED:
        return f"{_SET_X}\\startpipeline\n{_SELECT_X * PIPELINE_DEPTH}\\endpipeline\n"
    return _SET_X + _SELECT_X


def _options(case: Case, directory: Path, seconds: float, share: float) -> list[str]:
    # Pipelines of unnamed statements: a pooler that knows no prepared ones takes part.
    protocol = Mode.EXTENDED if case.mode is Mode.PIPELINED else case.mode
    options = ["-n", "-M", protocol.value, "-c", str(case.clients)]
    options += ["-j", "1" if case.clients == 1 else "2", "-P", str(WARM_UP_S)]
    options += ["-T", str(math.ceil(seconds) + _PATIENCE_S)]
    options += ["--log", "--log-prefix", str(directory / "log")]
    if share < 1:
        options += ["--sampling-rate", str(share)]
    if case.scenario.is_reconnect:
        options += ["--connect"]
    text = script_of(case)
    if text is None:
        return [*options, "-S"]
    script = directory / "script.sql"
    script.write_text(text)
    return [*options, "-f", str(script)]


@contextmanager
def _running(
    target: Target, options: Sequence[str], seconds: float
) -> Iterator[subprocess.Popen[str]]:
    """Run pgbench until its end; end it by force when the body fails or it takes far too long."""
    process = subprocess.Popen(
        target.command(*options),
        env=target.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None, "started with a pipe"
    watchdog = threading.Timer(seconds + _PATIENCE_S, process.kill)
    watchdog.start()
    try:
        yield process
        said = process.stderr.read()
        if process.wait() != 0:
            raise BenchError(f"pgbench ended with {process.returncode}:\n{said.strip()}")
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        process.stderr.close()


def _watch(process: subprocess.Popen[str], contender: Contender, seconds: float) -> Window:
    """Wait for the first report, let the window pass, look at the CPU at both of its ends, stop."""
    _wait_for_report(process)
    before, start_s = contender.usage(), time.time()
    time.sleep(seconds)
    after, end_s = contender.usage(), time.time()
    process.send_signal(signal.SIGALRM)
    return Window(start_s, end_s, before, after)


def _wait_for_report(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None, "started with a pipe"
    said: list[str] = []
    for line in process.stderr:
        if read_figures(line) is not None:
            return
        said.append(line)
    raise BenchError(f"pgbench ended before its first report:\n{''.join(said[-20:]).strip()}")


def _log_lines(directory: Path) -> Iterator[str]:
    for path in sorted(directory.glob("log.*")):
        with path.open() as file:
            yield from file
