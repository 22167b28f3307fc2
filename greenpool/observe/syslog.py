"""Lines to the machine's syslog, or to another handler for as long as there is none (`away.py`).

Source: syslog(3); the framing is that of `logging.handlers.SysLogHandler`.
"""

from __future__ import annotations

import logging
import logging.handlers
import socket
import sys

from greenpool.observe.away import Fallback

SYSLOG_SOCKET = "/dev/log"


class SyslogHandler(logging.handlers.SysLogHandler):
    """Log to `SYSLOG_SOCKET` as the daemon `prog`; to `fallback` what syslog does not take."""

    def __init__(self, prog: str, fallback: logging.Handler) -> None:
        super().__init__(SYSLOG_SOCKET, self.LOG_DAEMON, socket.SOCK_DGRAM)
        self.ident = f"{prog}: "
        self.append_nul = False
        self._fallback = Fallback(fallback, f'syslog as "{prog}" ("{SYSLOG_SOCKET}")')
        self._is_refused = False  # the record in hand

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record, connecting first where that is due."""
        self._is_refused = False
        super().emit(record)
        if not self._is_refused:
            self._fallback.delivered()

    def handleError(self, record: logging.LogRecord) -> None:
        """Put a record that could not be sent where it can be read. Called within `emit`."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self._is_refused = True
        self._fallback.handle(record, error)
