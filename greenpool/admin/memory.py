"""Rows about memory: SHOW MEM, which is PgBouncer's, and SHOW POOLS_MEMORY, which is PgDoorman's.

What is counted and what bounds it: docs/memory.md. In MEM a row is a kind of memory, over all
workers, and `size` the unit of `used` and `free`; the last is max_memory_usage as a whole. In
POOLS_MEMORY the statements of a pool's servers have no bytes, since servers keep their texts
themselves; a text that several clients prepared counts for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from greenpool.admin.result import Row
from greenpool.admin.view import View
from greenpool.protocol.backend import INT4, INT8, Column
from greenpool.records import MemoryKind

MEM_COLUMNS = (
    Column("name"),
    Column("size", INT4),
    Column("used", INT4),
    Column("free", INT4),
    Column("memtotal", INT8),
)

POOLS_MEMORY_COLUMNS = (
    Column("database"),
    Column("user"),
    Column("pool_prepared_count", INT8),
    Column("pool_prepared_bytes", INT8),
    Column("client_prepared_count", INT8),
    Column("client_prepared_bytes", INT8),
    Column("client_named_count", INT8),
    Column("client_anonymous_count", INT8),
    Column("client_anonymous_evictions_total", INT8),
    # ours
    Column("buffer_bytes", INT8),
)

_UNIT = 1024


def mem_rows(view: View) -> Iterable[Row]:
    """Make a row for each kind of memory and one for all of it."""
    workers = [row for row in view.segment.worker_rows() if row.alive]
    for kind in MemoryKind:
        held = sum(row.memory_bytes[kind] for row in workers)
        yield kind.name.lower(), _UNIT, _units(held), 0, held
    held = sum(sum(row.memory_bytes) for row in workers)
    limit = view.config.general.max_memory_usage_bytes
    yield "max_memory_usage", _UNIT, _units(held), max(0, limit - held) // _UNIT, limit


def pools_memory_rows(view: View) -> Iterable[Row]:
    """Make a row for each pool."""
    for pool in view.segment.pool_rows():
        on_servers = sum(slot.prepared for slot in view.segment.slot_rows(pool.index))
        yield (
            pool.database,
            pool.user,
            on_servers,
            None,
            pool.prepared_named + pool.prepared_unnamed,
            pool.prepared_bytes,
            pool.prepared_named,
            pool.prepared_unnamed,
            0,  # a client has one at most, and it stays until the client replaces it
            pool.buffer_bytes,
        )


def _units(held: int) -> int:
    return -(-held // _UNIT)
