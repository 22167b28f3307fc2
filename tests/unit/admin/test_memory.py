"""SHOW MEM and SHOW POOLS_MEMORY."""

from __future__ import annotations

from greenpool.records import SlotState
from tests.unit.admin.samples import Bench, pool, slot, worker


def test_mem_sums_over_the_living(bench: Bench) -> None:
    dead = worker(2, alive=0, memory_bytes=(1 << 30, 1 << 30, 1 << 30))
    one = worker(0, memory_bytes=(2048, 1, 0))
    bench.segment.workers = [one, worker(1, memory_bytes=(1024, 1024, 0)), dead]
    rows = {row["name"]: row for row in bench.show("SHOW MEM")}
    assert rows["buffers"] == {
        "name": "buffers",
        "size": 1024,
        "used": 3,
        "free": 0,
        "memtotal": 3072,
    }
    assert (rows["statements"]["used"], rows["statements"]["memtotal"]) == (2, 1025)
    assert rows["states"]["used"] == 0
    limit = 256 << 20  # max_memory_usage
    assert rows["max_memory_usage"]["memtotal"] == limit
    assert rows["max_memory_usage"]["free"] == (limit - 4097) // 1024


def test_pools_memory(bench: Bench) -> None:
    bench.segment.pools = [
        pool(0, prepared_named=3, prepared_unnamed=2, prepared_bytes=700, buffer_bytes=65536)
    ]
    slots = (slot(0, SlotState.IDLE, prepared=4), slot(1, SlotState.ACTIVE, prepared=5))
    bench.segment.slots = {0: list(slots)}
    (row,) = bench.show("SHOW POOLS_MEMORY")
    assert (row["pool_prepared_count"], row["pool_prepared_bytes"]) == (9, None)
    assert (row["client_prepared_count"], row["client_prepared_bytes"]) == (5, 700)
    assert (row["client_named_count"], row["client_anonymous_count"]) == (3, 2)
    assert row["buffer_bytes"] == 65536
