"""Run the view: on a terminal live, into a pipe as text, or as JSON."""

from __future__ import annotations

import time
from collections.abc import Callable

from greenpool.admin.client import ConsoleClient
from greenpool.config import Config
from greenpool.errors import ControlError
from greenpool.top.layout import text, to_json
from greenpool.top.picture import picture
from greenpool.top.reading import Reading, read
from greenpool.top.screen import live
from greenpool.top.view import View
from greenpool.top.wishes import Wishes


def run(config: Config, wishes: Wishes, write: Callable[[str], object]) -> None:
    """Show what the greenpool of this configuration does. Raises: ControlError."""
    source = _Source(config)
    try:
        first = source.read()  # nobody there: said before the screen is taken
        if wishes.is_live:
            view = View(wishes.order)
            view.take(first)
            live(view, source.read, wishes.interval_s)
        else:
            _print(first, source, wishes, write)
    finally:
        source.close()


def _print(
    before: Reading, source: _Source, wishes: Wishes, write: Callable[[str], object]
) -> None:
    for number in range(wishes.count):
        time.sleep(wishes.interval_s)
        now = source.read()
        shown = picture(before, now, wishes.order)
        if wishes.as_json:
            write(to_json(shown))
        else:
            write("\n".join([*([""] if number else []), *text(shown)]))
        before = now


class _Source:
    """Readings over one connection; after an error over another."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._console: ConsoleClient | None = None

    def read(self) -> Reading:
        try:
            if self._console is None:
                self._console = ConsoleClient(self._config)
            return read(self._console)
        except ControlError:
            self.close()
            raise

    def close(self) -> None:
        if self._console is not None:
            self._console.close()
            self._console = None
