"""What `greenpool status` says, collected. Runs in master. Partner: `report`, which shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from greenpool.master.pools import Segment
from greenpool.master.slot import WorkerSlot


def collect(segment: Segment, slots: Sequence[WorkerSlot]) -> dict[str, Any]:
    """Return figures of workers, clients and servers."""
    rows = segment.worker_rows()
    pools = segment.pool_rows()
    return {
        "workers": [
            {
                "worker": slot.index,
                "pid": slot.pid,
                "state": slot.state.name.lower(),
                "births": slot.births,
                "clients": row.clients if slot.is_alive else 0,
                "busy_permille": row.busy_permille if slot.is_alive else 0,
            }
            for slot, row in ((slot, rows[slot.index]) for slot in slots)
        ],
        "clients": {
            "active": sum(pool.cl_active for pool in pools),
            "waiting": sum(pool.cl_waiting for pool in pools),
            "idle": sum(pool.cl_idle for pool in pools),
        },
        "servers": {
            "in_use": sum(pool.sv_active for pool in pools),
            "idle": sum(pool.sv_idle for pool in pools),
            "limit": sum(pool.settings.size for pool in pools),
        },
    }
