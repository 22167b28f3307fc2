"""When to try again after a server login has failed. Pure: time is an argument, in seconds.

Law: nothing is remembered past an outage; after one success the next failure starts from the
beginning.
"""

from __future__ import annotations

import random

FIRST_S = 0.1
MAX_S = 1.0
"""So a switchover is noticed within about a second; PgBouncer's server_login_retry is 15 s."""


class Backoff:
    """The back-off of one pool in one worker."""

    __slots__ = ("_delay_s", "_ready_at_s")

    def __init__(self) -> None:
        self._delay_s = 0.0
        self._ready_at_s = 0.0

    def left_s(self, now_s: float) -> float:
        """Return how long to wait before the next attempt."""
        return max(0.0, self._ready_at_s - now_s)

    def fail(self, now_s: float) -> None:
        """Note a failure. With jitter, so that workers spread out."""
        self._delay_s = min(self._delay_s * 2, MAX_S) if self._delay_s else FIRST_S
        self._ready_at_s = now_s + self._delay_s * random.uniform(0.75, 1.25)

    def succeed(self) -> None:
        """Note that the server is there."""
        self._delay_s = self._ready_at_s = 0.0
