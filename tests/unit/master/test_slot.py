"""The life of a worker's slot, and the back-off of those that die young."""

from __future__ import annotations

import itertools

import pytest

from greenpool.master.link import WorkerLink
from greenpool.master.slot import EARLY_S, WorkerSlot, WorkerState, backoff_s

_LEGAL = {
    ("EMPTY", "STARTING"),
    ("EMPTY", "RETIRED"),
    ("STARTING", "READY"),
    ("STARTING", "DRAINING"),
    ("STARTING", "EMPTY"),
    ("STARTING", "RETIRED"),
    ("READY", "DRAINING"),
    ("READY", "EMPTY"),
    ("READY", "RETIRED"),
    ("DRAINING", "RETIRED"),
}


@pytest.fixture
def link():
    ours, theirs = WorkerLink.pair()
    yield ours
    ours.close()
    theirs.close()


@pytest.mark.parametrize(("before", "after"), list(itertools.product(WorkerState, repeat=2)))
def test_state_changes_only_as_drawn(before: WorkerState, after: WorkerState):
    slot = WorkerSlot(0, state=before)
    if (before.name, after.name) in _LEGAL:
        slot.set_state(after)
        assert slot.state is after
    else:
        with pytest.raises(AssertionError, match=before.name):
            slot.set_state(after)
        assert slot.state is before


def test_slot_remembers_who_lives_there(link: WorkerLink):
    slot = WorkerSlot(3)
    slot.enter(4711, link, now=100.0)
    assert (slot.pid, slot.births, slot.is_alive) == (4711, 1, True)
    slot.leave(now=200.0, will_return=True)
    assert (slot.pid, slot.births, slot.is_alive, slot.link) == (0, 1, False, None)


def test_worker_that_lived_is_followed_at_once(link: WorkerLink):
    slot = WorkerSlot(0)
    slot.enter(1, link, now=100.0)
    assert slot.leave(now=100.0 + EARLY_S, will_return=True) == 0.0
    assert slot.respawn_at == 100.0 + EARLY_S


def test_early_deaths_in_a_row_are_followed_ever_later(link: WorkerLink):
    slot = WorkerSlot(0)
    delays = []
    for _ in range(4):
        slot.enter(1, link, now=100.0)
        delays.append(slot.leave(now=100.1, will_return=True))
    assert delays == [0.0, 0.1, 0.2, 0.4]
    slot.enter(1, link, now=100.0)
    assert slot.leave(now=300.0, will_return=True) == 0.0
    slot.enter(1, link, now=400.0)
    assert slot.leave(now=400.1, will_return=True) == 0.0  # counted from the start again


def test_backoff_has_a_ceiling():
    assert backoff_s(10_000) == 5.0


def test_retired_slot_has_no_next_worker(link: WorkerLink):
    slot = WorkerSlot(0)
    slot.enter(1, link, now=0.0)
    slot.set_state(WorkerState.DRAINING)
    slot.leave(now=1.0, will_return=False)
    assert slot.state is WorkerState.RETIRED
