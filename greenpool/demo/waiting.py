"""Wait for something that other processes bring about: by looking again, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

from greenpool.demo.errors import DemoError

_INTERVAL_S = 0.02


def wait_until(condition: Callable[[], bool], deadline_s: float, complaint: str) -> None:
    """Return as soon as `condition()` holds.

    Raises: DemoError with `complaint` when it does not hold after `deadline_s`; whatever
    `condition` raises.
    """
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() >= end:
            raise DemoError(f"{complaint} after {deadline_s:g} s")
        time.sleep(_INTERVAL_S)
