"""Lines to the machine's syslog, or to another handler for as long as there is none.

Law: no line is lost and nobody stops working because syslog is away; when it comes back, the next
line goes there again. Each outage is told once, in the other place.
Source: syslog(3); the framing is that of `logging.handlers.SysLogHandler`.
"""

from __future__ import annotations

import logging
import logging.handlers
import socket
import sys

SYSLOG_SOCKET = "/dev/log"


class SyslogHandler(logging.handlers.SysLogHandler):
    """Log to `SYSLOG_SOCKET` as the daemon `prog`; to `fallback` what syslog does not take."""

    def __init__(self, prog: str, fallback: logging.Handler) -> None:
        super().__init__(SYSLOG_SOCKET, self.LOG_DAEMON, socket.SOCK_DGRAM)
        self.ident = f"{prog}: "
        self.append_nul = False
        self._prog = prog
        self._fallback = fallback
        self._is_away = False
        self._is_refused = False  # the record in hand

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record, connecting first where that is due."""
        self._is_refused = False
        super().emit(record)
        self._is_away = self._is_refused

    def handleError(self, record: logging.LogRecord) -> None:
        """Put a record that could not be sent where it can be read. Called within `emit`."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self._is_refused = True
        if not self._is_away:
            self._fallback.handle(self._complaint(error))
        self._fallback.handle(record)

    def _complaint(self, error: OSError) -> logging.LogRecord:
        text = 'cannot log to syslog as "%s" ("%s": %s): logging here until it can be reached'
        values = (self._prog, SYSLOG_SOCKET, error.strerror or error)
        return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, values, None)
