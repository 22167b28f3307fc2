"""Who measures which case: pgbench, `load`, psql. Each gives an outcome, all become samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks import copying, load, pgbench
from benchmarks.contenders import Contender
from benchmarks.errors import BenchError
from benchmarks.plan import PGBENCH_CLIENTS_MAX, Case, Scenario
from benchmarks.sample import Outcome, Sample, make_sample
from benchmarks.server import SCRAM_USER, USER
from greenpool.demo.load import Target

Reach = Callable[[int, str], Target]
"""Gives the way to whatever listens on a port, as a user."""

Measure = Callable[[Contender, Case, float, int], Sample]
"""Measures a contender in a case: for so many seconds, in that round."""


def before_postgres(reach: Reach) -> Measure:
    """Make the measure of contenders in front of PostgreSQL."""

    def run(contender: Contender, case: Case, seconds: float) -> Outcome:
        user = SCRAM_USER if case.scenario.is_reconnect else USER
        target = reach(contender.port, user)
        if case.scenario.is_encrypted:
            target = replace(target, sslmode="require")
        if case.scenario.is_copy:
            return copying.measure(contender, target, case)
        is_crowd = case.scenario is Scenario.SELECT_X and case.clients > PGBENCH_CLIENTS_MAX
        if case.scenario is Scenario.OPEN or is_crowd:
            return load.measure(contender, case, seconds)
        return pgbench.measure(contender, target, case, seconds)

    return _sampling(run)


def before_null_server() -> Measure:
    """Make the measure of contenders in front of a null server: it knows what `load` asks."""
    return _sampling(load.measure)


def _sampling(run: Callable[[Contender, Case, float], Outcome]) -> Measure:
    def measure(contender: Contender, case: Case, seconds: float, turn: int) -> Sample:
        """Raises: BenchError that names contender and case, with the contender's log."""
        try:
            return make_sample(contender.name, case, turn, run(contender, case, seconds))
        except BenchError as exc:
            said = contender.log_tail()
            raise BenchError(f"{contender.name}, {case.title}: {exc}\n{said}".rstrip()) from exc

    return measure
