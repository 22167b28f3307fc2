"""Run the engine from the hub: one watcher, one C call, and what it asks of Python.

A step relays until nothing is left to do. While traffic is hot the engine sleeps inside the step,
with libev's own descriptor among what it waits for, so a query costs no crossing of the hub.
Law: a watcher's callback never raises, or libev would stop it; and it never waits, because it runs
in the hub: handlers that must wait are greenlets.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from gevent.hub import Hub

from greenpool.engine import EVENTS_PER_STEP
from greenpool.observe import events
from greenpool.records import Event, EventKind

log = logging.getLogger(__name__)

Handler = Callable[[Event], None]

_READ = 1  # libev's EV_READ


class Steps(Protocol):
    """What the pump needs of the engine."""

    def fd(self) -> int: ...
    def hot(self, loop_fd: int) -> None: ...
    def step(self) -> list[Event]: ...


class Pump:
    """Step the engine whenever its descriptor is readable; hand its events to `handlers`.

    Handlers run in the hub and must not wait: those that would, spawn `guarded`.
    """

    __slots__ = ("_engine", "_handlers", "_watcher")

    def __init__(self, engine: Steps, handlers: Mapping[EventKind, Handler]) -> None:
        self._engine = engine
        self._handlers = handlers
        self._watcher: Any = None

    def start(self, hub: Hub) -> None:
        """Begin. The engine goes before everything else that is ready in the same round."""
        self._engine.hot(hub.loop.fileno())
        self._watcher = hub.loop.io(self._engine.fd(), _READ, priority=hub.loop.MAXPRI)
        self._watcher.start(self.run)

    def stop(self) -> None:
        """End; the engine may be closed then."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None

    def run(self) -> None:
        """Step until the engine has nothing more to tell. The outermost frame of a callback."""
        try:
            while True:
                asked = self._engine.step()
                for event in asked:
                    self._dispatch(event)
                if len(asked) < EVENTS_PER_STEP:
                    return
        except Exception as exc:
            events.BUG.tell(log, exc, what="the engine's step failed")

    def _dispatch(self, event: Event) -> None:
        try:
            self._handlers[event.kind](event)
        except Exception as exc:  # the events behind it are as good as before
            events.BUG.tell(log, exc, what=f"cannot handle {event}")


def guarded(handler: Handler, event: Event) -> None:
    """Handle an event in a greenlet of its own, as its outermost frame."""
    try:
        handler(event)
    except Exception as exc:
        events.BUG.tell(log, exc, what=f"cannot handle {event}")
