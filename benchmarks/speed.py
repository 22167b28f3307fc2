"""Measure all contenders in turn, case by case: A B C, C B A, A B C..."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from benchmarks.contenders import Contender
from benchmarks.drivers import Measure
from benchmarks.plan import Case, Plan
from benchmarks.sample import Sample

T = TypeVar("T")


def run_cases(
    plan: Plan, contenders: Sequence[Contender], measure: Measure
) -> Iterator[tuple[Case, list[Sample]]]:
    """Give each case with its samples as soon as it is done. Raises: BenchError."""
    for case in plan.cases:
        taking_part = [each for each in contenders if each.takes_part(case)]
        samples = list(_run_rounds(plan, case, taking_part, measure))
        yield case, sorted(samples, key=lambda each: _place(taking_part, each))


def order(contenders: Sequence[T], turn: int) -> list[T]:
    """Reverse every second round, so that nobody always follows the same neighbour."""
    return list(contenders) if turn % 2 == 0 else list(reversed(contenders))


def _run_rounds(
    plan: Plan, case: Case, contenders: Sequence[Contender], measure: Measure
) -> Iterator[Sample]:
    for turn in range(plan.rounds):
        for each in order(contenders, turn):
            yield measure(each, case, plan.seconds, turn)


def _place(contenders: Sequence[Contender], sample: Sample) -> tuple[int, int]:
    names = [each.name for each in contenders]
    return names.index(sample.contender), sample.round
