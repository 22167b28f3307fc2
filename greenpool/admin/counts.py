"""Rows of what every worker has counted: CONNECTIONS and INTERNER, as PgDoorman has them."""

from __future__ import annotations

from collections.abc import Iterable

from greenpool.admin.result import Row
from greenpool.admin.view import View
from greenpool.protocol.backend import INT8, NUMERIC, Column
from greenpool.records import MemoryKind, Visit

CONNECTIONS_COLUMNS = (
    Column("total", NUMERIC),
    Column("errors", NUMERIC),
    Column("tls", NUMERIC),
    Column("plain", NUMERIC),
    Column("cancel", NUMERIC),
)
INTERNER_COLUMNS = (
    Column("kind"),
    Column("entries", INT8),
    Column("bytes", INT8),
    # ours
    Column("worker", INT8),
    Column("idle", INT8),
)

_VISITS = (Visit.ANY, Visit.IN_VAIN, Visit.TLS, Visit.PLAIN, Visit.CANCEL)


def connections_rows(view: View) -> Iterable[Row]:
    """Count all connections that were ever accepted, by what came of them.

    `errors` were gone, or refused, before their login began; what is left of `total` is here still.
    """
    workers = view.segment.worker_rows()
    yield tuple(sum(worker.visits[visit] for worker in workers) for visit in _VISITS)


def interner_rows(view: View) -> Iterable[Row]:
    """Make a row for each worker: the texts that it keeps, once each, however many name them.

    Named and unnamed statements are kept alike. `idle` ones have no user, and are the next to go.
    """
    for worker in view.segment.worker_rows():
        if worker.alive:
            yield (
                "statement",
                worker.statements,
                worker.memory_bytes[MemoryKind.STATEMENTS],
                worker.index,
                worker.idle_statements,
            )
