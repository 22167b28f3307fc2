"""When to try again after a server login has failed. Pure: time is an argument, in seconds.

Law: nothing is remembered past an outage; the first failure after a success, or after a time
without any attempt here (another worker has had the success then), starts from the beginning.
"""

from __future__ import annotations

import random

FIRST_S = 0.1
MAX_S = 1.0
"""So a switchover is noticed within about a second; PgBouncer's server_login_retry is 15 s."""


OUTAGE_S = 10.0
"""A failure this long after the last one is of another outage: attempts are closer together."""


class Backoff:
    """The back-off of one pool in one worker."""

    __slots__ = ("_delay_s", "_failed_at_s")

    def __init__(self) -> None:
        self._delay_s = 0.0
        self._failed_at_s = 0.0

    def fail(self, now_s: float) -> float:
        """Note a failure; return how long to wait before the next attempt.

        With jitter, so that workers spread out.
        """
        if now_s - self._failed_at_s > OUTAGE_S:
            self._delay_s = 0.0
        self._failed_at_s = now_s
        self._delay_s = min(self._delay_s * 2, MAX_S) if self._delay_s else FIRST_S
        return self._delay_s * random.uniform(0.75, 1.25)

    def succeed(self) -> None:
        """Note that the server is there."""
        self._delay_s = 0.0
