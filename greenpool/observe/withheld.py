"""What the log has not told, because there was too much of it: told as a number."""

from __future__ import annotations

import logging
import time

from greenpool.observe import events
from greenpool.observe.event import LIMITER

log = logging.getLogger(__name__)


def tell_withheld() -> None:
    """Say how many lines were withheld; call it every second or so."""
    for kind, count in LIMITER.take_withheld(time.monotonic()).items():
        events.WITHHELD.tell(log, count=count, withheld=kind)
