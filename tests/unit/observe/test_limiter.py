"""Lines that anybody can cause: so many, then a number."""

from __future__ import annotations

import logging

import pytest

from greenpool.observe import event, events, withheld
from greenpool.observe.limiter import LINES, PERIOD_S, Limiter

log = logging.getLogger("greenpool.test")


def test_what_is_too_much_is_counted_by_kind():
    limiter = Limiter()
    assert [limiter.admits("a", 1.0) for _ in range(LINES + 3)] == [True] * LINES + [False] * 3
    assert limiter.admits("b", 1.0)
    assert limiter.take_withheld(PERIOD_S) == {}  # not over yet
    assert limiter.take_withheld(1.0 + PERIOD_S) == {"a": 3}
    assert limiter.take_withheld(1.0 + PERIOD_S) == {}
    assert limiter.admits("a", 1.0 + PERIOD_S)


def test_a_period_without_excess_is_forgotten():
    limiter = Limiter()
    for second in range(200):
        assert limiter.admits("a", float(second))
    assert limiter.take_withheld(1000.0) == {}


def test_what_was_withheld_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    now_s = 5.0
    monkeypatch.setattr(event, "LIMITER", Limiter())
    monkeypatch.setattr(withheld, "LIMITER", event.LIMITER)
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    caplog.set_level("INFO")
    for _ in range(LINES + 7):
        events.CLIENT_SILENT.tell(log, who="client 10.0.0.1:5")
        events.STOPPED.tell(log)  # nobody outside can cause it
    now_s += PERIOD_S
    withheld.tell_withheld()
    told = [record.getMessage() for record in caplog.records]
    assert sum("no startup packet" in line for line in told) == LINES
    assert told.count("stopped") == LINES + 7
    assert told[-1] == "7 more events client_silent were not logged"
