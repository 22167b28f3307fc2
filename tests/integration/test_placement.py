"""Who serves whom: few clients share one worker, many are spread over all."""

from __future__ import annotations

import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.crowd import Crowd
from tests.integration.harness.pooler import QUIET

FEW = 4


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
