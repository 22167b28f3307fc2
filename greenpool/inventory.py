"""What a worker has in its hands: texts of statements, numbers of descriptors.

Contract: `_cparser/inventory.c`. Nothing here is true of two lines at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from greenpool.binding import ffi, lib
from greenpool.rows import StatementRow

QUERY_CHARS = 1000
"""Of a text that is told; the rest is cut off."""


class Inventory:
    """Look into one engine. `Engine.inventory` makes it."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def statements(self) -> Iterator[StatementRow]:
        """Go through the statements that are kept; others may come and go meanwhile."""
        row = ffi.new("struct gp_statement_row *")
        place = 0
        while place := lib.gp_statement_next(self._engine, place, row):
            yield _statement(row)

    def client_fd(self, client: int) -> int | None:
        """Return a client's descriptor; None: it is not here."""
        return _fd(lib.gp_client_fd(self._engine, client))

    def server_fd(self, pool: int, slot: int) -> int | None:
        """Return the descriptor of a server that this worker holds; None: it does not."""
        return _fd(lib.gp_server_fd(self._engine, pool, slot))


def _statement(row: Any) -> StatementRow:
    return StatementRow(
        identity=row.high << 64 | row.low,
        name=ffi.string(row.name).decode("ascii"),
        query=ffi.string(row.query, 4 * QUERY_CHARS).decode("utf-8", "replace")[:QUERY_CHARS],
        refs=row.refs,
        uses=row.uses,
        length=row.length,
    )


def _fd(fd: int) -> int | None:
    return fd if fd >= 0 else None
