"""The life of the observer process, from just after the fork to its exit.

One thread waits for the master's news, takes connections and samples times; each connection has a
thread of its own (`greenpool.observe.server`). Partner: `observer`, which forks it.
"""

from __future__ import annotations

import selectors
import signal
import socket
import time
from collections.abc import Sequence
from functools import partial

from greenpool.errors import ExitCode
from greenpool.master.live import set_up_log
from greenpool.observe.news import News
from greenpool.observe.pages import Pages
from greenpool.observe.scene import Lookout, Snapshots
from greenpool.observe.server import Server
from greenpool.observe.times import PERIOD_S, Ladder
from greenpool.segment import time_bounds_ns
from greenpool.tallies import Tallies
from greenpool.worker.control import ControlReader, ControlSender, Ready

# They are the master's, whatever a terminal or a service manager sends to all processes at once.
_IGNORED_SIGNALS = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT),
    *(signal.SIGUSR1, signal.SIGUSR2),
)


def observe(
    news: News,
    segment: Snapshots,
    tallies: Tallies,
    listeners: Sequence[socket.socket],
    control: socket.socket,
) -> int:
    """Live as the observer, until the master hangs up. Runs after fork, in the child."""
    for number in _IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    set_up_log(news.config, None)
    lookout = Lookout(segment, tallies, Ladder(time_bounds_ns()), news)
    server = Server(Pages(lookout.look).answer)
    selector = selectors.DefaultSelector()
    for listener in listeners:
        selector.register(listener, selectors.EVENT_READ, partial(server.accept, listener))
    reader = ControlReader(control)
    selector.register(control, selectors.EVENT_READ)
    ControlSender(control).send(Ready())
    due = time.monotonic()
    while True:
        if time.monotonic() >= due:
            lookout.sample()
            due = time.monotonic() + PERIOD_S
        for key, _ in selector.select(max(0.0, due - time.monotonic())):
            if key.data is not None:
                key.data()
            elif not _hear(reader, lookout):
                return ExitCode.DONE


def _hear(reader: ControlReader, lookout: Lookout) -> bool:
    """Take the news that have come; False: the master has hung up."""
    messages = reader.receive()
    for message in messages or ():
        if isinstance(message, News):
            lookout.hear(message)
            set_up_log(message.config, None)
    return messages is not None
