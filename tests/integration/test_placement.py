"""Who serves whom: few clients share one worker, many are spread over all."""

from __future__ import annotations

import os
import signal

import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.crowd import Crowd
from tests.integration.harness.pooler import QUIET, Pooler
from tests.integration.harness.waiting import wait_for

pytestmark = ANY_POSTGRESQL

FEW = 4


@pytest.mark.parametrize("count", range(1, FEW + 1))
def test_few_clients_share_one_worker(make_pooler: MakePooler, count: int) -> None:
    with Crowd(make_pooler(2, **QUIET), "select 1") as crowd:
        crowd.join(count)
        assert crowd.census() == {0: count, 1: 0}


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


def test_busy_clients_are_levelled(
    make_pooler: MakePooler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that has just begun, because all of another were given away, gets its share."""
    monkeypatch.setenv("GREENPOOL_REHEARSAL_MS", "0")
    pooler = make_pooler(2, **QUIET)
    with Crowd(pooler, "select pg_sleep(0.01)") as crowd:
        crowd.gather(64, least=16)
        crowd.start()
        for _ in range(2):
            _replace_a_worker(pooler)
            wait_for(lambda: min(crowd.census().values()) >= 30, "both have their share")
        crowd.stop()
        assert not crowd.complaints()
        assert not any(each.is_gone for each in crowd.members)


def test_few_busy_clients_stay_together(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2, **QUIET)
    with Crowd(pooler, "select pg_sleep(0.01)") as crowd:
        crowd.join(12)
        crowd.start()
        pooler.sleep(2.5)
        crowd.stop()
        assert crowd.census() == {0: 12, 1: 0}


def _replace_a_worker(pooler: Pooler) -> None:
    """Have the older worker give all its clients to the other, and wait until it has ended."""
    pid = pooler.worker_pids()[0]
    os.kill(pid, signal.SIGUSR1)
    wait_for(lambda: pid not in pooler.worker_pids(), "it has ended")
