"""Put a load on the pool with pgbench and turn its progress reports into figures.

pgbench writes one report a second to its standard error:

    progress: 2.0 s, 15312.4 tps, lat 1.304 ms stddev 0.611, 0 failed
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from greenpool.demo.errors import DemoError

_PROGRESS = re.compile(
    r"progress: (?P<at>[\d.]+) s, (?P<tps>[\d.]+) tps, lat (?P<latency>[\d.]+|NaN) ms"
)
_LAST_REPORTS = 20


@dataclass(frozen=True, slots=True)
class Figures:
    """Hold one report: seconds since the start, transactions per second, mean latency."""

    at_s: float
    transactions_per_s: float
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Target:
    """Hold where pgbench connects to and with which programs."""

    pgbench: str
    host: str
    port: int
    user: str
    password: str
    database: str
    sslmode: str | None = None
    """As libpq's; None: what libpq does by itself."""

    def command(self, *options: str) -> list[str]:
        where = ["-h", self.host, "-p", str(self.port), "-U", self.user]
        return [self.pgbench, *where, *options, self.database]

    def environment(self) -> dict[str, str]:
        sslmode = {} if self.sslmode is None else {"PGSSLMODE": self.sslmode}
        return {**os.environ, "PGPASSWORD": self.password, **sslmode}


def read_figures(line: str) -> Figures | None:
    """Read one line of pgbench's standard error; None when it is no progress report."""
    match = _PROGRESS.match(line)
    if match is None:
        return None
    return Figures(float(match["at"]), float(match["tps"]), float(match["latency"]))


def fill(target: Target) -> None:
    """Create pgbench's tables at scale 1 (100,000 accounts). Raises: DemoError."""
    done = subprocess.run(
        target.command("-i", "-s", "1", "--quiet"),
        env=target.environment(),
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise DemoError(f"pgbench -i failed: {done.stderr.strip()}")


@contextmanager
def running_load(target: Target, clients: int, seconds: int) -> Iterator[Iterator[Figures]]:
    """Run `pgbench -S` with so many clients; the body iterates over a report a second.

    Ends pgbench on every way out. Raises: DemoError when pgbench reports a failure.
    """
    options = ["-S", "-n", "-P", "1", "-T", str(seconds), "-c", str(clients), "-j", "2"]
    process = subprocess.Popen(
        target.command(*options),
        env=target.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield _reports(process)
    finally:
        process.kill()
        process.communicate()


def _reports(process: subprocess.Popen[str]) -> Iterator[Figures]:
    assert process.stderr is not None, "started with a pipe"
    said: list[str] = []
    for line in process.stderr:
        figures = read_figures(line)
        if figures is not None:
            yield figures
        else:
            said = [*said, line.rstrip()][-_LAST_REPORTS:]
    if process.wait() != 0:
        raise DemoError("pgbench failed:\n" + "\n".join(said))
