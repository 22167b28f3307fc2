"""The observer: one more process, which answers /metrics, /healthz and /readyz.

    master ──fork──► observer: reads the segment, and what the master tells it (News)
                        ▲ HTTP

It is spawned, watched and spawned again as a worker is, and is never a reason for anything: without
it greenpool serves as before. It ends with the master, not before, so that a stop can be watched;
at an upgrade that of the new master takes its place, on the same sockets: nobody is refused.
Without `web.enabled` there is none, and nothing here does anything. Partner: `observing`, its life.
"""

from __future__ import annotations

import logging
import selectors
import socket
from collections.abc import Callable, Iterable
from datetime import datetime

from greenpool.config import Web
from greenpool.master.listeners import Listeners
from greenpool.master.live import ReloadResult
from greenpool.master.pools import Segment
from greenpool.master.slot import WorkerSlot
from greenpool.master.workers import Workers
from greenpool.observe import events
from greenpool.observe.news import LastReload, News
from greenpool.tallies import Tallies
from greenpool.worker.control import ControlMessage

log = logging.getLogger(__name__)

_BACKLOG = 64


def listen(web: Web, inherited: Iterable[tuple[str, int]]) -> Listeners:
    """Open what the observer serves on, or go on with what a master before this one has opened.

    Runs in master, before the fork. Raises: StartupError.
    """
    listeners = Listeners(inherited, section="web")
    if web.enabled:
        # Before the fork, as all code (fork.py); its libraries take 12 MB, so not without need.
        from greenpool.master import observing  # noqa: F401  (used by `_live`)

    listeners.open_all(web.host if web.enabled else (), web.port, None, 0, _BACKLOG)
    return listeners


def last_reload(result: ReloadResult | None, started_s: float) -> LastReload:
    """Say when the configuration was last read; None: at the start."""
    if result is None:
        return LastReload(started_s, is_ok=True)
    return LastReload(datetime.fromisoformat(result.at).timestamp(), result.is_ok)


class Observer:
    """The observer's place, within the master's selector. Runs in master."""

    def __init__(
        self,
        web: Listeners,
        segment: Segment,
        tallies: Tallies,
        selector: selectors.BaseSelector,
        disinherit: Callable[[], None],
    ) -> None:
        self._web = web
        self._segment = segment
        self._tallies = tallies
        self._selector = selector
        self._disinherit = disinherit
        self._news: News | None = None
        self._processes = self._make(())
        self.is_wanted = False

    def begin(self) -> None:
        """Have one from now on, if there is something to serve on."""
        self.is_wanted = True
        self._news = None
        self._processes = self._make(range(1) if self._web.sockets else ())

    def keep(self, news: News) -> None:
        """See to it that it lives and knows the news; call it in every round of the loop."""
        if news != self._news:
            self._news = news
            for slot in self._processes.alive():
                self._processes.send(slot, news)
        self._processes.reap()
        self._processes.spawn_due()

    def next_due(self) -> float | None:
        """Return when (time.monotonic) it is to be spawned; None: nothing is to come."""
        return self._processes.next_due()

    def end(self) -> None:
        """End it, now: it has nothing to finish. None follows before `begin`."""
        self.is_wanted = False
        self._processes.end()

    def close_in_child(self) -> None:
        """Drop a worker's copies of what is the observer's. After fork."""
        self._processes.close_in_child()
        self._web.close_in_child()

    def _make(self, places: Iterable[int]) -> Workers:
        return Workers(
            places,
            self._selector,
            self._live,
            _owns_nothing,
            _owns_nothing,
            self._disinherit,
            _overhear,
            title=lambda _: "observer",
        )

    def _live(self, _index: int, control: socket.socket) -> int:
        assert self._news is not None  # `keep` spawns
        from greenpool.master import observing  # there already: `listen`

        return observing.observe(
            self._news, self._segment, self._tallies, self._web.sockets, control
        )


def _owns_nothing(_index: int) -> None:
    """Have nobody passed to it and reclaim nothing: what it looks at it does not own."""


def _overhear(slot: WorkerSlot, message: ControlMessage) -> None:
    events.MESSAGE_UNKNOWN.tell(
        log, process=f"observer (pid {slot.pid})", what=type(message).__name__
    )
