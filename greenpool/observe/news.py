"""What the master tells the observer: all that is to be known and stands not in the segment.

Pushed whole whenever something of it changes, and inherited by an observer that is born later.
"""

from __future__ import annotations

from dataclasses import dataclass

from greenpool.config import Config


@dataclass(frozen=True, slots=True)
class LastReload:
    """The last time that the configuration was read; a start counts, too."""

    at_s: float
    """Seconds of the calendar."""
    is_ok: bool


@dataclass(frozen=True, slots=True)
class News:
    """How things stand, to the master's knowledge."""

    config: Config
    master_pid: int
    places: tuple[int, ...]
    """Where this generation's workers live, or are to."""
    started_s: float
    """Seconds of the calendar."""
    last_reload: LastReload
    is_draining: bool
