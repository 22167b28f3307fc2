"""Wait for a condition by looking again, never by sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_S = 30.0
"""Of what takes an instant on a quiet machine: only a test that fails waits for so long."""


def wait_for(look: Callable[[], T], what: str, deadline_s: float = DEADLINE_S) -> T:
    """Return the first true value that `look()` gives; fail with `what` after the deadline."""
    end = time.monotonic() + deadline_s
    while not (value := look()):
        if time.monotonic() >= end:
            raise AssertionError(f"{what}: not within {deadline_s:g} s")
        time.sleep(0.01)
    return value
