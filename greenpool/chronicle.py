"""What has happened to the house, in the memory that all processes of all generations share.

Contract: `_cparser/chronicle.h`. What kinds there are: `observe/events.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from greenpool.binding import ffi, lib
from greenpool.records import Result
from greenpool.rows import ChronicleRow


class Chronicle:
    """The last events, and how many there were of each kind. `Segment.chronicle` makes it."""

    __slots__ = ("_seg",)

    def __init__(self, seg: Any) -> None:
        self._seg = seg

    def add(self, kind: int, worker: int | None, text: str) -> None:
        """Add an event in the name of a worker, or of the master; a longer text is cut."""
        data = text.encode("utf-8", "surrogateescape")
        who = lib.GP_ALL if worker is None else worker
        lib.gp_chronicle_add(self._seg, kind, who, data, len(data))

    def rows(self) -> Iterator[ChronicleRow]:
        """Go through the events that are kept, the oldest first."""
        end = lib.gp_chronicle_end(self._seg)
        row = ffi.new("struct gp_chronicle_row *")
        for number in range(max(1, end - lib.GP_CHRONICLE_KEPT + 1), end + 1):
            if lib.gp_chronicle_row(self._seg, number, row) == Result.OK:
                yield _row(row)

    def count(self, kind: int) -> int:
        """Return how many events of a kind there ever were."""
        return int(lib.gp_chronicle_count(self._seg, kind))


def _row(row: Any) -> ChronicleRow:
    text = bytes(ffi.buffer(row.text, row.length)).decode("utf-8", "replace")
    worker = None if row.worker == lib.GP_ALL else row.worker
    return ChronicleRow(row.number, row.at_ns, row.kind, worker, row.pid, text)
