"""Where lines go while the service that should have them is away.

Law: no line is lost and nobody stops working because the service is away; when it comes back, the
next line goes there again. Each outage is told once, in the other place.
"""

from __future__ import annotations

import logging

from greenpool.observe import events


class Fallback:
    """Another handler, for the records that a service does not take; `what` names the service."""

    __slots__ = ("_handler", "_is_away", "_what")

    def __init__(self, handler: logging.Handler, what: str) -> None:
        self._handler = handler
        self._what = what
        self._is_away = False

    def delivered(self) -> None:
        """Note that the service has taken a record."""
        self._is_away = False

    def handle(self, record: logging.LogRecord, error: OSError) -> None:
        """Put a record where it can be read, and say why if it is the first."""
        if not self._is_away:
            self._handler.handle(self._complaint(error))
        self._is_away = True
        self._handler.handle(record)

    def _complaint(self, error: OSError) -> logging.LogRecord:
        return events.LOG_AWAY.record(__name__, service=self._what, error=error.strerror or error)
