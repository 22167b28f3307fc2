"""From samples to what a table says: medians, their spread, ratios to the reference.

A ratio is taken within a round, where both sides had the same machine under them, and the median is
taken of these ratios: noise that lasts longer than a round cancels out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.run import Sample

REFERENCE = "pgbouncer"

_Figure = Callable[[Sample], float]


@dataclass(frozen=True, slots=True)
class Spread:
    """Hold a median and how far the values lie around it: half their range, as a share of it."""

    median: float
    share: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        middle = median(values)
        return cls(middle, (max(values) - min(values)) / 2 / middle if middle else 0.0)


@dataclass(frozen=True, slots=True)
class Line:
    """Hold one contender's figures in one case; None where there is nothing to compare."""

    contender: str
    tps: Spread
    mean_ms: Spread
    p99_ms: Spread
    cpu_us: Spread | None
    tps_ratio: Spread | None
    mean_ratio: Spread | None
    cpu_ratio: Spread | None


def lines(samples: Iterable[Sample]) -> list[Line]:
    """Summarize the samples of one case, contenders in the order of their first sample."""
    by_contender: dict[str, list[Sample]] = {}
    for sample in samples:
        by_contender.setdefault(sample.contender, []).append(sample)
    reference = {each.round: each for each in by_contender.get(REFERENCE, [])}
    return [_line(name, mine, reference) for name, mine in by_contender.items()]


def _line(name: str, mine: Sequence[Sample], reference: dict[int, Sample]) -> Line:
    def ratio(figure: _Figure) -> Spread | None:
        pairs = [(each, reference[each.round]) for each in mine if each.round in reference]
        if name == REFERENCE or not pairs:
            return None
        return Spread.of([figure(one) / figure(other) for one, other in pairs])

    accounted = all(each.cpu_us is not None for each in mine)
    return Line(
        contender=name,
        tps=Spread.of([each.tps for each in mine]),
        mean_ms=Spread.of([each.mean_ms for each in mine]),
        p99_ms=Spread.of([each.p99_ms for each in mine]),
        cpu_us=Spread.of([_cpu_us(each) for each in mine]) if accounted else None,
        tps_ratio=ratio(lambda each: each.tps),
        mean_ratio=ratio(lambda each: each.mean_ms),
        cpu_ratio=ratio(_cpu_us) if accounted else None,
    )


def _cpu_us(sample: Sample) -> float:
    if sample.cpu_us is None:
        raise ValueError(f"{sample.contender} has no processes to account for")
    return sample.cpu_us
