"""The pump never raises, never loses an event, and comes back for the rest."""

from __future__ import annotations

import os

import gevent
import pytest

from greenpool.engine import EVENTS_PER_STEP
from greenpool.records import Event, EventKind
from greenpool.worker.pump import Pump, guarded
from tests.unit.worker.fakes import event


class Steps:
    def __init__(self, *steps: list[Event]) -> None:
        self.steps = list(steps)
        self.loop_fd = -1
        self.read_fd, self.write_fd = os.pipe()

    def fd(self) -> int:
        return self.read_fd

    def hot(self, loop_fd: int) -> None:
        self.loop_fd = loop_fd

    def step(self) -> list[Event]:
        if not self.steps:
            os.read(self.read_fd, 64)
            raise RuntimeError("nothing to do")
        return self.steps.pop(0)

    def close(self) -> None:
        os.close(self.read_fd)
        os.close(self.write_fd)


def test_events_reach_their_handlers_in_order():
    seen: list[int] = []
    goodbye = event(EventKind.GOODBYE, client=1)
    steps = Steps([goodbye, event(EventKind.GOODBYE, client=2)])
    Pump(steps, {EventKind.GOODBYE: lambda each: seen.append(each.client)}).run()
    steps.close()
    assert seen == [1, 2]


def test_full_step_is_followed_by_another():
    seen: list[int] = []
    full = [event(EventKind.GOODBYE, client=1)] * EVENTS_PER_STEP
    steps = Steps(full, [event(EventKind.GOODBYE, client=2)], [])
    Pump(steps, {EventKind.GOODBYE: lambda each: seen.append(each.client)}).run()
    steps.close()
    assert len(seen) == EVENTS_PER_STEP + 1
    assert len(steps.steps) == 1


def test_handler_that_fails_spoils_nothing(caplog: pytest.LogCaptureFixture):
    seen: list[int] = []

    def handle(each: Event) -> None:
        if each.client == 1:
            raise ValueError("bad client")
        seen.append(each.client)

    steps = Steps([event(EventKind.GOODBYE, client=number) for number in (1, 2)])
    Pump(steps, {EventKind.GOODBYE: handle}).run()
    steps.close()
    assert seen == [2]
    assert "bad client" in caplog.text


def test_watcher_survives_a_step_that_fails(caplog: pytest.LogCaptureFixture):
    seen: list[int] = []
    steps = Steps()
    pump = Pump(steps, {EventKind.GOODBYE: lambda each: seen.append(each.client)})
    hub = gevent.get_hub()
    pump.start(hub)
    assert steps.loop_fd == hub.loop.fileno()
    os.write(steps.write_fd, b"x")
    with gevent.Timeout(5):
        while "nothing to do" not in caplog.text:
            gevent.sleep(0)
    steps.steps = [[event(EventKind.GOODBYE, client=7)]]
    os.write(steps.write_fd, b"x")
    with gevent.Timeout(5):
        while not seen:
            gevent.sleep(0)
    pump.stop()
    pump.stop()
    steps.close()
    assert seen[0] == 7


def test_guarded_handler_logs_what_nobody_expected(caplog: pytest.LogCaptureFixture):
    def fail(_: Event) -> None:
        raise ValueError("bad server")

    guarded(fail, event(EventKind.OPEN))
    assert "bad server" in caplog.text
