"""Who serves whom: few clients share one worker, many are spread over all."""

from __future__ import annotations

import re
import statistics
from contextlib import ExitStack

import psutil
import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.crowd import Crowd
from tests.integration.harness.pooler import QUIET, Pooler

FEW = 4
TRANSACTIONS = 3000  # of each client, in each measurement
ROUNDS = 3
TOLERANCE = 1.15


@pytest.mark.parametrize("count", range(1, FEW + 1))
def test_few_clients_share_one_worker(make_pooler: MakePooler, count: int) -> None:
    with Crowd(make_pooler(2, **QUIET), "select 1") as crowd:
        crowd.join(count)
        assert sorted(crowd.census().values()) == [0, count]


def test_many_busy_clients_are_spread(make_pooler: MakePooler) -> None:
    with Crowd(make_pooler(2, **QUIET), "select 1") as crowd:
        crowd.join(8)
        crowd.start()
        crowd.wait_for_turns(100)
        crowd.join(56)
        crowd.wait_for_turns(10)
        crowd.stop()
        assert min(crowd.census().values()) >= 16, crowd.census()
        assert not crowd.complaints()


@pytest.mark.timing
def test_second_worker_costs_few_clients_nothing(make_pooler: MakePooler) -> None:
    with ExitStack() as stack:
        connections = []
        poolers = [make_pooler(workers, **QUIET) for workers in (1, 2)]
        for pooler in poolers:  # the logins are paid for
            connections.append(stack.enter_context(pooler.connect(database="bench")))
            _measure(pooler)
        rounds = [[_measure(pooler) for pooler in poolers] for _ in range(ROUNDS)]
    cpu = statistics.median(two[0] / one[0] for one, two in rounds)
    latency = statistics.median(two[1] / one[1] for one, two in rounds)
    print(f"{FEW} clients on 2 workers cost {cpu:.2f} of 1 worker's CPU, {latency:.2f} of latency")
    assert cpu <= TOLERANCE
    assert latency <= TOLERANCE


def _measure(pooler: Pooler) -> tuple[float, float]:
    """Return CPU seconds of all of greenpool's processes, and the mean latency in ms."""
    before_s = _cpu_s(pooler)
    summary = pooler.pgbench("-n", "-S", "-c", str(FEW), "-t", str(TRANSACTIONS))
    found = re.search(r"latency average = ([0-9.]+) ms", summary)
    assert found, summary
    return _cpu_s(pooler) - before_s, float(found[1])


def _cpu_s(pooler: Pooler) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in (pooler.master_pid, *pooler.worker_pids())]
    return sum(each.user + each.system for each in times)
