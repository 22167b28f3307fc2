"""All that one master has: what its supervisor works with, and what a successor inherits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from greenpool.master.lifeline import Lifeline
from greenpool.master.listeners import Listeners
from greenpool.master.live import LiveConfig
from greenpool.master.notify import Notifier
from greenpool.master.pools import Segment
from greenpool.master.presence import Presence
from greenpool.master.program import Program
from greenpool.tallies import Tallies


@dataclass(frozen=True, slots=True)
class Estate:
    """`started_s` (time.monotonic) is when greenpool was first started, generations ago."""

    generation: int
    started_s: float
    program: Program
    config_file: Path
    live: LiveConfig
    segment: Segment
    listeners: Listeners
    web: Listeners
    """What the observer serves on; empty without `web.enabled`."""
    presence: Presence | None
    """None: no pid file is configured, and commands cannot find this master."""
    notifier: Notifier
    tallies: Tallies
    places: tuple[int, ...]
    """The places of the segment in which this master's workers live."""
    lifeline: Lifeline
    boot_secret: bytes = field(repr=False)
