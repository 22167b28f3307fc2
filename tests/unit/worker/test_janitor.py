"""What goes by time; the clock is the test's."""

from __future__ import annotations

import pytest
from gevent import GreenletExit

from greenpool.admin.stats import STATS_PERIOD_S
from greenpool.worker.janitor import GROW_S, BusyShare, Janitor
from tests.unit.worker.fakes import FakedWorker


def test_busy_share_comes_near_the_truth_and_stays_in_bounds():
    share = BusyShare(0.0, 0.0)
    assert share.measure(0.1, 0.05) == 150
    shown = 0
    for number in range(2, 40):
        shown = share.measure(number / 10, number / 20)
    assert 495 <= shown <= 505
    assert share.measure(3.9, 3.0) == shown  # no time has passed: nothing is measured
    assert 645 <= share.measure(4.0, 99.0) <= 655  # clocks differ: no share is above a whole
    assert share.measure(5.0, 0.0) >= 0


def test_each_round_sweeps_tells_the_load_and_steps(worker: FakedWorker):
    steps: list[int] = []
    janitor = Janitor(worker, lambda: steps.append(1), lambda: 3)
    janitor.tidy(worker.now_s() + 1)
    janitor.tidy(worker.now_s() + 1.1)
    assert len(worker.engine.named("sweep")) == len(steps) == 2
    assert worker.engine.named("busy")[0][1] == 3


def test_pools_with_a_minimum_are_filled_once_a_second(worker: FakedWorker):
    janitor = Janitor(worker, lambda: None, lambda: 0)
    now_s = worker.now_s() + 1
    bob = worker.pools.find("shop", "bob")
    assert bob is not None
    for after_s in (0.0, 0.5 * GROW_S, 1.1 * GROW_S):
        janitor.tidy(now_s + after_s)
    # ada wants none, dan cannot log in yet
    assert worker.engine.named("grow") == [(bob.index,), (bob.index,)]


def test_round_that_fails_is_not_the_last(
    worker: FakedWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    rounds: list[int] = []

    def step() -> None:
        rounds.append(1)
        if len(rounds) == 1:
            raise KeyError("nobody expects this")
        raise GreenletExit  # as a kill does

    monkeypatch.setattr("greenpool.worker.janitor.SWEEP_S", 0)
    with pytest.raises(GreenletExit):
        Janitor(worker, step, lambda: 0).run()
    assert len(rounds) == 2
    assert "the janitor's round failed" in caplog.text


def test_draining_worker_fills_nothing(worker: FakedWorker):
    worker.is_draining = True
    Janitor(worker, lambda: None, lambda: 0).tidy(worker.now_s() + 1)
    assert worker.engine.named("grow") == []


def test_statistics_are_sampled_at_start_and_every_period(
    worker: FakedWorker, monkeypatch: pytest.MonkeyPatch
):
    samples: list[int] = []
    monkeypatch.setattr(type(worker.console), "sample", lambda _: samples.append(1))
    janitor = Janitor(worker, lambda: None, lambda: 0)
    now_s = worker.now_s()
    for after_s in (0.1, STATS_PERIOD_S / 2, STATS_PERIOD_S + 1.0):
        janitor.tidy(now_s + after_s)
    assert len(samples) == 2
