"""The state of the live view, and what keys do to it; without a screen.

    RUNNING <-space-> PAUSED;  q, Escape -> ENDED

Partner: `screen.py`, which has the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from greenpool.top.layout import text
from greenpool.top.picture import picture
from greenpool.top.reading import Reading
from greenpool.top.wishes import Order


class Mode(Enum):
    """Whether the picture changes."""

    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"


class Key(Enum):
    """What may be pressed."""

    QUIT = "q"
    PAUSE = "space"
    SORT = "s"
    UP = "up"
    DOWN = "down"


class View:
    """What is seen. `problem`: why there is no newer reading, None where there is one."""

    def __init__(self, order: Order) -> None:
        self.mode = Mode.RUNNING
        self.order = order
        self.problem: str | None = None
        self.top = 0
        self._readings: tuple[Reading, Reading] | None = None

    def take(self, reading: Reading) -> None:
        """Show a newer reading."""
        before = self._readings[1] if self._readings else reading
        self._readings = (before, reading)
        self.problem = None

    def fail(self, problem: str) -> None:
        """Say why there is none; what was seen last stays."""
        self.problem = problem

    def press(self, key: Key) -> None:
        """Do what a key stands for."""
        _PRESSES[key](self)

    def title(self) -> str:
        """Return the line above all others."""
        state = self.problem or self.mode.value
        return f"greenpool top   {state}   by {self.order}   (q quit, s sort, space pause)"

    def lines(self) -> list[str]:
        """Return all that there is to see below the title, from the line scrolled to."""
        if self._readings is None:
            return []
        found = list(text(picture(*self._readings, self.order)))
        self.top = min(self.top, max(0, len(found) - 1))
        return found[self.top :]

    def _quit(self) -> None:
        self.mode = Mode.ENDED

    def _pause(self) -> None:
        self.mode = Mode.RUNNING if self.mode is Mode.PAUSED else Mode.PAUSED

    def _sort(self) -> None:
        self.order = self.order.next

    def _up(self) -> None:
        self.top = max(0, self.top - 1)

    def _down(self) -> None:
        self.top += 1


_PRESSES: Mapping[Key, Callable[[View], None]] = {
    Key.QUIT: View._quit,
    Key.PAUSE: View._pause,
    Key.SORT: View._sort,
    Key.UP: View._up,
    Key.DOWN: View._down,
}
