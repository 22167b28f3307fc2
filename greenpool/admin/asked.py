"""Rows of what only the workers know: PREPARED_STATEMENTS and INTERNER n, with PgDoorman's columns,
and FDS, with PgBouncer's. No descriptor is passed on, and no key is told: those columns are NULL.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from greenpool.admin.question import Told
from greenpool.admin.result import Row, Value
from greenpool.admin.view import View
from greenpool.protocol.backend import INT4, INT8, NUMERIC, Column

STATEMENTS_COLUMNS = (
    Column("pool"),
    Column("hash", NUMERIC),
    Column("name"),
    Column("query"),
    Column("count_used", NUMERIC),
    # ours
    Column("servers", INT8),
)

TEXTS_COLUMNS = (
    Column("hash", NUMERIC),
    Column("kind"),
    Column("bytes", INT8),
    Column("idle_ms", INT8),
    Column("preview"),
    # ours
    Column("worker", INT8),
    Column("clients", INT8),
    Column("count_used", INT8),
)

FDS_COLUMNS = (
    Column("fd", INT4),
    Column("task"),
    Column("user"),
    Column("database"),
    Column("addr"),
    Column("port", INT4),
    Column("cancel", INT8),
    Column("link", INT4),
    Column("client_encoding"),
    Column("std_strings"),
    Column("datestyle"),
    Column("timezone"),
    Column("password"),
    Column("scram_client_key"),
    Column("scram_server_key"),
    # ours
    Column("worker", INT8),
)


def statements_rows(view: View, told: Sequence[Told]) -> Iterable[Row]:
    """Make a row for each statement of each pool, over all workers; queries may be cut."""
    merged: dict[tuple[Value, Value, Value], Told] = {}
    uses: Counter[tuple[Value, Value, Value]] = Counter()
    for row in told:
        key = (row[0], row[1], row[2])
        uses[key] += int(row[5] or 0)
        merged[key] = row
    for key in sorted(merged, key=lambda key: (str(key[0]), str(key[1]), -uses[key])):
        database, user, identity, name, query, _, servers = merged[key]
        yield f"{user}@{database}", int(identity or 0), name, query, uses[key], servers


def texts_rows(view: View, told: Sequence[Told]) -> Iterable[Row]:
    """Make a row for each text that a worker keeps, the largest first.

    When one was used last is not known, only whether anybody refers to it (`clients`).
    """
    for worker, identity, size, clients, uses, preview in sorted(
        told, key=lambda row: (-int(row[2] or 0), str(row[1]), row[0])
    ):
        yield int(identity or 0), "statement", size, None, preview, worker, clients, uses


def fds_rows(view: View, told: Sequence[Told]) -> Iterable[Row]:
    """Make a row for each socket of each worker; numbers are those of its process."""
    for worker, fd, task, user, database, addr, port, link in told:
        keys = (None,) * 6
        yield (fd, task, user, database, addr, port, None, link, None, *keys, worker)
