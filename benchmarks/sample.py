"""What one run of one contender gave: the figures, however they were measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import cpu
from benchmarks.plan import Case, Mode, Scenario


@dataclass(frozen=True, slots=True)
class Latency:
    """Hold milliseconds of the transactions of a run."""

    mean_ms: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold the figures of one run.

    `count` and `per_s` are transactions, or megabytes of a copy; `cpu_us` is of all processes of
    the pooler, for one of them. None: there is nothing to measure (a copy's latency, the processes
    of no pooler).
    """

    contender: str
    scenario: str
    mode: str
    clients: int
    size: int
    round: int
    seconds: float
    count: float
    per_s: float
    latency: Latency | None
    cpu_us: float | None
    cpu_s: tuple[float, ...]
    unanswered: int = 0
    """Transactions that were asked, or due, and had no answer when the run was given up."""
    log_share: float = 1.0
    """The share of the transactions whose latency is known."""
    grown_bytes: int | None = None
    """Memory (Pss) at its highest while it was measured, less that before."""

    @property
    def case(self) -> Case:
        return Case(Scenario(self.scenario), Mode(self.mode), self.clients, self.size)


@dataclass(frozen=True, slots=True)
class Window:
    """Hold the measured stretch of time: a clock, and the contender's CPU at both ends."""

    start_s: float
    end_s: float
    before: cpu.Usage
    after: cpu.Usage

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold what a driver has measured within the window; the fields are those of a sample."""

    window: Window
    count: float
    latency: Latency | None
    unanswered: int = 0
    log_share: float = 1.0
    grown_bytes: int | None = None


def make_sample(name: str, case: Case, turn: int, outcome: Outcome) -> Sample:
    """Relate what was measured to the time and the CPU that it took. Raises: BenchError."""
    window = outcome.window
    cpu_s = cpu.spent(window.before, window.after)
    return Sample(
        contender=name,
        scenario=case.scenario.value,
        mode=case.mode.value,
        clients=case.clients,
        size=case.size,
        round=turn,
        seconds=window.seconds,
        count=outcome.count,
        per_s=outcome.count / window.seconds,
        latency=outcome.latency,
        cpu_us=cpu_s / outcome.count * 1e6 if window.before else None,
        cpu_s=tuple(window.after[pid] - window.before[pid] for pid in window.before),
        unanswered=outcome.unanswered,
        log_share=outcome.log_share,
        grown_bytes=outcome.grown_bytes,
    )


def latency_of(ordered_us: Sequence[int]) -> Latency:
    """Summarize latencies in microseconds, in ascending order."""
    return Latency(
        mean_ms=sum(ordered_us) / len(ordered_us) / 1000,
        p50_ms=percentile(ordered_us, 0.5) / 1000,
        p99_ms=percentile(ordered_us, 0.99) / 1000,
        p999_ms=percentile(ordered_us, 0.999) / 1000,
        max_ms=ordered_us[-1] / 1000,
    )


def percentile(ordered: Sequence[int], share: float) -> int:
    """Return the value that `share` of the ordered values do not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
