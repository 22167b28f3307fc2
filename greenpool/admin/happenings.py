"""Rows about what has happened to the house: EVENTS, and of those UPGRADES, the oldest first.

They lie in the segment and outlive every process, so the next generation tells them, too; a restart
begins anew. Source: `observe/events.py`, the kept ones.
"""

from __future__ import annotations

from collections.abc import Iterable

from greenpool.admin.result import Row
from greenpool.admin.view import View
from greenpool.observe import events
from greenpool.observe.event import from_text
from greenpool.protocol.backend import INT4, INT8, Column
from greenpool.rows import ChronicleRow

EVENTS_COLUMNS = (
    Column("number", INT8),
    Column("time"),
    Column("event"),
    Column("process"),
    Column("pid", INT4),
    Column("message"),
)
UPGRADES_COLUMNS = (
    Column("time"),
    Column("result"),
    Column("generation"),
    Column("from_version"),
    Column("to_version"),
    Column("pid", INT4),
    Column("message"),
)

_RESULTS = {
    events.UPGRADED.kept: "done",
    events.UPGRADE_FAILED.kept: "failed",
    events.GENERATION_RETURNED.kept: "undone",
}


def events_rows(view: View) -> Iterable[Row]:
    """Make a row for each event that is kept."""
    for row in view.segment.chronicle.rows():
        event = events.KEPT.get(row.kind)
        message, _ = from_text(row.text)
        yield (
            row.number,
            view.now.calendar(row.at_ns),
            event.name if event else f"{row.kind}",  # one of a later version
            "master" if row.worker is None else f"worker {row.worker}",
            row.pid,
            message,
        )


def upgrades_rows(view: View) -> Iterable[Row]:
    """Make a row for each end of an upgrade. `generation` is the one that then served."""
    for row in view.segment.chronicle.rows():
        if row.kind in _RESULTS:
            yield _upgrade(view, row)


def _upgrade(view: View, row: ChronicleRow) -> Row:
    message, fields = from_text(row.text)
    return (
        view.now.calendar(row.at_ns),
        _RESULTS[row.kind],
        fields.get("generation"),
        fields.get("from_version"),
        fields.get("to_version"),
        row.pid,
        message,
    )
