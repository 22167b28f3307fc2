"""Whether those who wait are served alike: how far the longest waits are from the usual one.

Far more clients than servers, each asking again as soon as it is answered, of a server that takes
10 ms for every answer and no processor. In order of arrival everyone then waits for as long as it
takes to serve those who came before, which is the same for all; whoever is passed waits longer.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks import load
from benchmarks.contenders import Contender
from benchmarks.errors import BenchError
from benchmarks.plan import Case, Mode, Scenario

POOL_SIZE = 40

RATIO_MAX = 1.2
"""Of the 99th percentile and the median of waits, which greenpool promises to keep."""


@dataclass(frozen=True, slots=True)
class Fairness:
    """Hold the waits of one run, to the end of the 10 ms."""

    contender: str
    clients: int
    p50_ms: float
    p99_ms: float
    max_ms: float

    @property
    def ratio(self) -> float:
        return self.p99_ms / self.p50_ms


def measure(contender: Contender, clients: int, seconds: float) -> Fairness:
    """Run the load once. Raises: BenchError, also when answers are missing."""
    case = Case(Scenario.SELECT_X, Mode.SIMPLE, clients)
    outcome = load.measure(contender, case, seconds, exchange="nap")
    if outcome.unanswered or outcome.latency is None:
        raise BenchError(f"{outcome.unanswered} queries were not answered")
    waits = outcome.latency
    return Fairness(contender.name, clients, waits.p50_ms, waits.p99_ms, waits.max_ms)
