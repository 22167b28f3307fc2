"""What the console might say."""

from __future__ import annotations

from greenpool.top.reading import Reading, Row


def pool(database: str, user: str, **counts: int) -> Row:
    names = ["cl_active", "cl_waiting", "cl_idle", "maxwait", "maxwait_us"]
    names += ["sv_active", "sv_idle", "sv_login", "pool_size"]
    row = {name: str(counts.get(name, 0)) for name in names}
    return {"database": database, "user": user, "pool_mode": "transaction", **row}


def stats(database: str, **totals: int) -> Row:
    names = ["query_count", "xact_count", "query_time", "xact_time", "wait_time"]
    names += ["server_assignment_count", "received", "sent"]
    return {
        "database": database,
        **{f"total_{name}": str(totals.get(name, 0)) for name in names},
    }


def reading(at_s: float, pools: tuple[Row, ...] = (), figures: tuple[Row, ...] = ()) -> Reading:
    worker = {"worker": "0", "pid": "7", "clients": "3", "busy_permille": "125"}
    worker |= {"moved_in": "0", "moved_out": "0", "io_backend": "epoll"}
    return Reading(at_s, pools, figures, (worker,))
