"""What keys do to the live view, without a screen."""

from __future__ import annotations

from greenpool.top.view import Key, Mode, View
from greenpool.top.wishes import Order
from tests.unit.top.readings import pool, reading


def view() -> View:
    made = View(Order.WAITING)
    made.take(reading(1, (pool("shop", "app"),)))
    return made


def test_keys():
    shown = view()
    modes = []
    for key in (Key.PAUSE, Key.PAUSE, Key.QUIT):
        shown.press(key)
        modes.append(shown.mode)
    assert modes == [Mode.PAUSED, Mode.RUNNING, Mode.ENDED]


def test_pools_are_sorted_by_the_next_order():
    shown = view()
    shown.press(Key.SORT)
    assert shown.order is Order.ACTIVE
    assert "by active" in shown.title()


def test_scrolling_stays_within_the_lines():
    shown = view()
    everything = shown.lines()
    shown.press(Key.UP)
    assert shown.lines() == everything
    for _ in range(100):
        shown.press(Key.DOWN)
    assert shown.lines() == everything[-1:]
    shown.press(Key.UP)
    assert shown.lines() == everything[-2:]


def test_what_was_seen_stays_while_nobody_answers():
    shown = view()
    before = shown.lines()
    shown.fail("cannot reach greenpool")
    assert "cannot reach greenpool" in shown.title()
    assert shown.lines() == before
    shown.take(reading(2))
    assert "running" in shown.title()


def test_nothing_to_see_before_the_first_reading():
    assert View(Order.NAME).lines() == []
