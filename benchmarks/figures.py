"""From samples to what a table says: medians, their spread, ratios to the reference.

A ratio is taken within a round, where both sides had the same machine under them, and the median is
taken of these ratios: noise that lasts longer than a round cancels out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.sample import Latency, Sample

REFERENCE = "pgbouncer"
DIRECT = "direct"
"""The server without a pooler, for what a pooler adds to the latency."""

_Figure = Callable[[Sample], float | None]
_ByRound = Mapping[int, Sample]


@dataclass(frozen=True, slots=True)
class Spread:
    """Hold a median and how far the values lie around it: half their range, as a share of it."""

    median: float
    share: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        middle = median(values)
        return cls(middle, (max(values) - min(values)) / 2 / abs(middle) if middle else 0.0)


@dataclass(frozen=True, slots=True)
class Line:
    """Hold one contender's figures in one case; None where there is nothing to compare."""

    contender: str
    per_s: Spread
    mean_ms: Spread | None
    p50_ms: Spread | None
    p99_ms: Spread | None
    p999_ms: Spread | None
    added_us: Spread | None
    """Mean latency beyond that of the server without a pooler in the same round."""
    cpu_us: Spread | None
    cores: Spread | None
    """CPU of 10,000 transactions a second, in cores."""
    grown_mb: Spread | None
    per_s_ratio: Spread | None
    mean_ratio: Spread | None
    cpu_ratio: Spread | None
    unanswered: int


def lines(samples: Iterable[Sample]) -> list[Line]:
    """Summarize the samples of one case, contenders in the order of their first sample."""
    by_contender: dict[str, list[Sample]] = {}
    for sample in samples:
        by_contender.setdefault(sample.contender, []).append(sample)
    reference, direct = (
        {each.round: each for each in by_contender.get(name, [])} for name in (REFERENCE, DIRECT)
    )
    return [_line(name, mine, reference, direct) for name, mine in by_contender.items()]


def _line(name: str, mine: Sequence[Sample], reference: _ByRound, direct: _ByRound) -> Line:
    def ratio(figure: _Figure) -> Spread | None:
        pairs = [(each, reference[each.round]) for each in mine if each.round in reference]
        if name == REFERENCE:
            return None
        return _spread([_quotient(figure(one), figure(other)) for one, other in pairs])

    return Line(
        contender=name,
        per_s=Spread.of([each.per_s for each in mine]),
        mean_ms=_spread([_latency(each, lambda of: of.mean_ms) for each in mine]),
        p50_ms=_spread([_latency(each, lambda of: of.p50_ms) for each in mine]),
        p99_ms=_spread([_latency(each, lambda of: of.p99_ms) for each in mine]),
        p999_ms=_spread([_latency(each, lambda of: of.p999_ms) for each in mine]),
        added_us=_spread([_added_us(each, direct.get(each.round)) for each in mine]),
        cpu_us=_spread([each.cpu_us for each in mine]),
        cores=_spread([_cores(each.cpu_us) for each in mine]),
        grown_mb=_spread([_megabytes(each.grown_bytes) for each in mine]),
        per_s_ratio=ratio(lambda each: each.per_s),
        mean_ratio=ratio(lambda each: _latency(each, lambda of: of.mean_ms)),
        cpu_ratio=ratio(lambda each: each.cpu_us),
        unanswered=sum(each.unanswered for each in mine),
    )


def _spread(values: Sequence[float | None]) -> Spread | None:
    """Summarize what every round has; None when one of them, or all rounds, are missing."""
    there = [each for each in values if each is not None]
    return Spread.of(there) if there and len(there) == len(values) else None


def _quotient(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def _latency(sample: Sample, pick: Callable[[Latency], float]) -> float | None:
    return None if sample.latency is None else pick(sample.latency)


def _added_us(sample: Sample, direct: Sample | None) -> float | None:
    if direct is None or direct is sample or not sample.latency or not direct.latency:
        return None
    return (sample.latency.mean_ms - direct.latency.mean_ms) * 1000


def _cores(cpu_us: float | None) -> float | None:
    return None if cpu_us is None else cpu_us * 10_000 / 1e6


def _megabytes(count: int | None) -> float | None:
    return None if count is None else count / (1 << 20)
