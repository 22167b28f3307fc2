"""The signal queue: order, and a process left as it was."""

from __future__ import annotations

import select
import signal

import pytest

from greenpool.master import signals
from greenpool.master.signals import TABLE, SignalQueue, Verb


@pytest.fixture
def queue():
    made = SignalQueue()
    made.install()
    yield made
    made.restore()


def test_signals_are_taken_in_order_of_arrival(queue: SignalQueue):
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR2, signal.SIGQUIT):
        signal.raise_signal(number)
    assert select.select([queue], [], [], 0)[0]
    assert queue.take() == [Verb.RELOAD, Verb.DRAIN, Verb.UPGRADE, Verb.QUIT]
    assert queue.take() == []


def test_everything_is_put_back():
    before = {entry.number: signal.getsignal(entry.number) for entry in TABLE}
    queue = SignalQueue()
    queue.install()
    queue.restore()
    assert {entry.number: signal.getsignal(entry.number) for entry in TABLE} == before


def test_signals_wait_while_they_are_blocked(queue: SignalQueue):
    with signals.blocked():
        signal.raise_signal(signal.SIGHUP)  # to this thread, as if there were no other
        assert queue.take() == []
    assert queue.take() == [Verb.RELOAD]


def test_every_verb_has_a_signal_and_a_sentence():
    assert {entry.verb for entry in TABLE} == set(Verb)
    assert all(entry.doc for entry in TABLE)
