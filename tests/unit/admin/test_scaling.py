"""SHOW POOL_SCALING."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from greenpool.admin.scaling import warm_of
from tests.unit.admin.samples import Bench, FakeSegment, load_config, pool
from tests.unit.samples import POOL_SETTINGS


def test_each_pool_tells_how_it_grows(tmp_path: Path) -> None:
    grown = pool(
        0,
        settings=replace(POOL_SETTINGS, size=40, warm_ratio=20),
        sv_active=5,
        sv_login=2,
        creates=9,
        gate_waits=4,
        gate_overdue=3,
        patience_met=8,
        patience_lost=7,
        patience_opened=6,
        fills_deferred=1,
        hastes=(10, 11, 12, 13),
        spared=14,
        login_ns=8_765_432,
    )
    first, other = Bench(
        load_config(tmp_path), FakeSegment(pools=[grown, pool(1, user="bob")])
    ).show("SHOW POOL_SCALING")
    assert first == {
        **{"user": "alice", "database": "app", "inflight": 2, "creates": 9, "gate_waits": 4},
        **{"burst_gate_budget_ex": 3, "antic_notify": 8, "antic_timeout": 7},
        **{"create_fallback": 6, "replenish_def": 1, "servers": 7, "warm": 8, "pool_size": 40},
        **{"hasty_cold": 10, "hasty_crowd": 11, "hasty_lasting": 12, "hasty_slow": 13},
        **{"spared": 14, "login_us": 8765},
    }
    assert other["user"] == "bob"
    assert other["creates"] == 0


@pytest.mark.parametrize(
    ("size", "ratio", "warm"), [(40, 20, 8), (4, 20, 1), (1, 1, 1), (7, 0, 0), (7, 100, 7)]
)
def test_ratio_is_rounded_up(size: int, ratio: int, warm: int) -> None:
    settings = replace(POOL_SETTINGS, size=size, warm_ratio=ratio)
    assert warm_of(pool(settings=settings)) == warm
