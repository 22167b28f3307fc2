"""The live view on a terminal: draw, wait for a key or for the next reading, again.

Law: whatever ends it, curses.wrapper gives the terminal back as it was. A greenpool that does not
answer (it is being restarted) is said in the title and asked again. Partner: `view.py`.
"""

from __future__ import annotations

import curses
import time
from collections.abc import Callable, Mapping

from greenpool.errors import ControlError
from greenpool.top.reading import Reading
from greenpool.top.view import Key, Mode, View

_ESCAPE = 27
_ESCAPE_MS = 25
"""How long the rest of a key that begins with Escape may take."""
_KEYS: Mapping[int, Key] = {
    ord("q"): Key.QUIT,
    _ESCAPE: Key.QUIT,
    ord(" "): Key.PAUSE,
    ord("s"): Key.SORT,
    curses.KEY_UP: Key.UP,
    ord("k"): Key.UP,
    curses.KEY_DOWN: Key.DOWN,
    ord("j"): Key.DOWN,
}

Read = Callable[[], Reading]


def live(view: View, read: Read, interval_s: float) -> None:
    """Show the view until somebody quits."""
    try:
        curses.wrapper(_run, view, read, interval_s)
    except curses.error as exc:
        raise ControlError(f"this terminal cannot show it: {exc}") from exc
    except KeyboardInterrupt:
        return


def _run(screen: curses.window, view: View, read: Read, interval_s: float) -> None:
    curses.set_escdelay(_ESCAPE_MS)
    _hide_cursor()
    due_s = time.monotonic()
    while view.mode is not Mode.ENDED:
        if time.monotonic() >= due_s:
            due_s = time.monotonic() + interval_s
            if view.mode is Mode.RUNNING:
                _refresh(view, read)
        _draw(screen, view)
        screen.timeout(max(0, round((due_s - time.monotonic()) * 1000)))
        key = _KEYS.get(screen.getch())  # also -1 at the timeout, and KEY_RESIZE
        if key is not None:
            view.press(key)


def _refresh(view: View, read: Read) -> None:
    try:
        view.take(read())
    except ControlError as exc:
        view.fail(str(exc).replace("\n", " "))


def _draw(screen: curses.window, view: View) -> None:
    height, width = screen.getmaxyx()
    screen.erase()
    _put(screen, 0, view.title(), width, curses.A_REVERSE)
    for row, line in enumerate(view.lines()[: height - 2], 1):
        _put(screen, row, line, width)
    screen.refresh()


def _put(screen: curses.window, row: int, line: str, width: int, attributes: int = 0) -> None:
    """Write a line. One with wide letters may run over into the next row: the last is left free."""
    screen.addnstr(row, 0, line.ljust(width), max(0, width - 1), attributes)


def _hide_cursor() -> None:
    try:
        curses.curs_set(0)
    except curses.error:
        return  # not every terminal can
