"""Move clients without need: for tests of all that a move must not change.

With GREENPOOL_REHEARSAL_MS in the environment, which nobody but tests has there, a worker

    every so many milliseconds (0: never)   moves each of its clients with a probability of a half
    at SIGUSR1                              hands over to all other workers, and ends
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable

import gevent
from gevent.hub import Hub

from greenpool.worker.state import Worker

VARIABLE = "GREENPOOL_REHEARSAL_MS"


def begin(worker: Worker, hub: Hub, hand_over: Callable[[tuple[int, ...]], None]) -> None:
    """Start, if the environment wants it."""
    pause_ms = os.environ.get(VARIABLE)
    others = tuple(each for each in range(worker.segment.workers) if each != worker.index)
    if pause_ms is None or not others:
        return
    watcher = hub.loop.signal(signal.SIGUSR1)
    watcher.start(lambda: hand_over(others))
    gevent.spawn(_run, worker, others, float(pause_ms) / 1000, watcher)


def _run(worker: Worker, others: tuple[int, ...], pause_s: float, _watcher: object) -> None:
    """Greenlet: shuffle until the worker ends. The watcher lives as long as it is named here."""
    while not worker.is_draining:
        gevent.sleep(pause_s or 3600)
        for client in worker.engine.clients():
            if random.random() < 0.5:
                worker.engine.move(client, random.choice(others))
