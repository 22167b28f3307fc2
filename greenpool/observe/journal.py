"""Lines to systemd's journal, with the fields of their events, where standard error goes there.

    MESSAGE=client app@app 10.0.0.1:5: left: ...     PRIORITY=6     SYSLOG_IDENTIFIER=greenpool
    GREENPOOL_EVENT=client_disconnected              GREENPOOL_USER=app      ...

Without this the journal would have the text alone, each line at the same priority and with a
second time in it. What the journal does not take goes to standard error (`away.py`), which ends
there, too.
Source: systemd "Native Journal Protocol"; sd_journal_stream_fd(3) for JOURNAL_STREAM.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import TextIO

from greenpool.observe.away import Fallback

JOURNAL_SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "greenpool"

_LENGTH = struct.Struct("<Q")
# Of syslog(3): error, warning, informational, debugging.
_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether what is written to a stream ends in the journal."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class JournalHandler(logging.Handler):
    """Log to `JOURNAL_SOCKET`; to `fallback` what the journal does not take."""

    def __init__(self, worker: int | None, fallback: logging.Handler) -> None:
        super().__init__()
        self._worker = worker
        self._fallback = Fallback(fallback, f'the journal ("{JOURNAL_SOCKET}")')
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record, without waiting; each finds its way anew, so an outage just ends."""
        try:
            data = b"".join(self._fields(record))
            self._sock.sendto(data, socket.MSG_DONTWAIT, JOURNAL_SOCKET)
            self._fallback.delivered()
        except OSError as exc:
            self._fallback.handle(record, exc)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()
        super().close()

    def _fields(self, record: logging.LogRecord) -> Iterator[bytes]:
        yield _field("MESSAGE", self.format(record))
        yield _field("PRIORITY", _priority(record.levelno))
        yield _field("SYSLOG_IDENTIFIER", IDENTIFIER)
        yield _field("GREENPOOL_LOGGER", record.name)
        yield _field("GREENPOOL_EVENT", getattr(record, "event", "other"))
        if self._worker is not None:
            yield _field("GREENPOOL_WORKER", self._worker)
        told: dict[str, object] = getattr(record, "fields", {})
        for name, value in told.items():
            if value is not None:
                yield _field(f"GREENPOOL_{name.upper()}", value)


def _priority(level: int) -> int:
    return next((priority for least, priority in _PRIORITIES if level >= least), _DEBUG)


def _field(name: str, value: object) -> bytes:
    """Write a field; one with a line's end in it by its length."""
    data = str(value).encode("utf-8", "surrogateescape")
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + _LENGTH.pack(len(data)) + data + b"\n"
