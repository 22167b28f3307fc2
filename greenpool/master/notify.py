"""Tell systemd how the master is (sd_notify), without its library.

A word is a datagram of NAME=value lines to the socket that NOTIFY_SOCKET names. Without that
variable nothing is said. Nothing here fails, or waits for longer than a second: a service manager
that does not listen is no reason for a pooler to stand still.
Source: sd_notify(3), systemd.service(5) on Type=notify-reload, sd_watchdog_enabled(3).
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping

from greenpool.observe import events

log = logging.getLogger(__name__)

# Ten words may wait unheard. A service manager that is so far behind is busy for a moment.
_PATIENCE_S = 1.0


class Notifier:
    """The conversation with the service manager, if there is one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` is that of the process; WATCHDOG_PID is the master of some generation."""
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        watchdog_us = environment.get("WATCHDOG_USEC", "")
        self._beat_s = int(watchdog_us) / 2_000_000 if watchdog_us.isdigit() else None
        self._next_beat_s: float | None = None
        self._is_main = False  # only the master that serves speaks for greenpool

    def ready(self, status: str) -> None:
        """Say that greenpool serves: after a start, a reload, or an upgrade."""
        self._be_main()
        self._say("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Say that a reload begins; `ready` ends it."""
        if self._is_main:
            self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that greenpool ends; not of a master that has never served, or does no more."""
        if self._is_main:
            self._say("STOPPING=1", "STATUS=stopping")

    def hand_over(self, pid: int) -> None:
        """Name the master that has taken over: it is the main process from now on."""
        self._say(f"MAINPID={pid}")
        self._is_main = False
        self._next_beat_s = None

    def come_back(self, pid: int) -> None:
        """Say that this process, whose pid that is, is the main one after all."""
        self._be_main()
        self._say(f"MAINPID={pid}", "READY=1")

    def beat(self) -> None:
        """Say, when it is time, that the master's loop turns."""
        now_s = time.monotonic()
        if self._next_beat_s is not None and self._beat_s and now_s >= self._next_beat_s:
            self._next_beat_s = now_s + self._beat_s
            self._say("WATCHDOG=1", patience_s=0.0)

    def next_due(self) -> float | None:
        """Return when (time.monotonic) `beat` has something to say; None: never."""
        return self._next_beat_s

    def _be_main(self) -> None:
        if not self._is_main and self._address and self._beat_s:
            self._next_beat_s = 0.0
        self._is_main = True

    def _say(self, *lines: str, patience_s: float = _PATIENCE_S) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(patience_s)
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError as exc:
            log.debug("the service manager does not hear %s: %s", lines[0], exc)


def _address(named: str) -> str:
    """Return the socket's address; "@" stands for the zero byte of an abstract one."""
    if named.startswith("@"):
        return "\0" + named[1:]
    if named and not os.path.isabs(named):
        events.NOTIFY_SOCKET_REFUSED.tell(log, address=named)
        return ""
    return named
