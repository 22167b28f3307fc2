"""The log: one event, one line, one write(2), to standard error, to the journal or to syslog.

text          2026-01-02 03:04:05.678 UTC [4711] INFO worker 1: ready
structured    {"time": "2026-01-02T03:04:05.678Z", "level": "info", "pid": 4711, "worker": 1,
               "logger": "greenpool.master.main", "event": "ready", "message": "ready",
               "version": "1.0", "generation": 1}

Law: the names of the structured fields never change, and those above to `message` are never left
out. `events` has the events and their fields; `other` is none of them, and its words may change.
`exception` is there when a traceback is. Messages carry what clients sent (user names,
application names), so control characters are escaped: nobody can forge a line of this log. A
traceback continues the text line on lines that begin with a tab, as PostgreSQL does.

Source: the text form follows PostgreSQL's log_line_prefix '%m [%p] '.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from enum import Enum

from greenpool.observe.journal import JournalHandler, is_journal
from greenpool.observe.syslog import SyslogHandler

OTHER = "other"

_NAMES = {
    logging.CRITICAL: "error",
    logging.ERROR: "error",
    logging.WARNING: "warning",
    logging.INFO: "info",
    logging.DEBUG: "debug",
}
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


def setup(level: str, fmt: str, prog: str | None, worker: int | None) -> None:
    """Send this process's log to where it belongs; may be called again (reload, after a fork).

    `level` is "debug", "info", "warning" or "error"; `fmt` is "text" or "structured". `prog` is
    the name to use towards syslog; None or empty: log to standard error, and where that ends in
    systemd's journal, to the journal itself. `worker` is the index of
    this worker; None: this is the master.
    What syslog does not take, because it is not there, goes to standard error.
    """
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(fmt, worker, is_bare=False))
    if prog:
        handler = SyslogHandler(prog, fallback=handler)
        handler.setFormatter(_formatter(fmt, worker, is_bare=True))
    elif is_journal(sys.stderr, os.environ):
        handler = JournalHandler(worker, fallback=handler)
        handler.setFormatter(_formatter(fmt, worker, is_bare=True))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())


def _formatter(fmt: str, worker: int | None, is_bare: bool) -> logging.Formatter:
    return StructuredFormatter(worker) if fmt == "structured" else TextFormatter(worker, is_bare)


class TextFormatter(logging.Formatter):
    """Format for people; `bare` leaves out the time and the pid, which syslog adds itself."""

    def __init__(self, worker: int | None, bare: bool = False) -> None:
        super().__init__()
        self._who = "" if worker is None else f" worker {worker}"
        self._bare = bare

    def format(self, record: logging.LogRecord) -> str:
        level = _NAMES.get(record.levelno, record.levelname).upper()
        line = f"{level}{self._who}: {record.getMessage().translate(_ESCAPES)}"
        if not self._bare:
            time = f"{_utc(record):%Y-%m-%d %H:%M:%S}.{int(record.msecs):03d} UTC"
            line = f"{time} [{record.process}] {line}"
        if record.exc_info:
            trace = self.formatException(record.exc_info).splitlines()
            line = "\n\t".join([line, *(each.translate(_ESCAPES) for each in trace)])
        return line


class StructuredFormatter(logging.Formatter):
    """Format for programs: one JSON object a line, ASCII only."""

    def __init__(self, worker: int | None) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": f"{_utc(record):%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z",
            "level": _NAMES.get(record.levelno, record.levelname.lower()),
            "pid": record.process,
            "worker": self._worker,
            "logger": record.name,
            "event": getattr(record, "event", OTHER),
            "message": record.getMessage(),
        }
        told: dict[str, object] = getattr(record, "fields", {})
        fields |= {name: _plain(value) for name, value in told.items()}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def _plain(value: object) -> object:
    """Return what JSON has for a value: numbers, truths and nothing are what they are."""
    is_plain = value is None or isinstance(value, str | int | float)
    return value if is_plain and not isinstance(value, Enum) else str(value)


def _utc(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)
