"""Two readings -> what is shown: tables of workers, databases with their rates, and pools.

Law: pure. Rates are those between the readings; a counter that went back (greenpool was started
anew) counts as standing still.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from greenpool.inquiry import Table
from greenpool.protocol.backend import FLOAT8, INT8, TEXT, Column
from greenpool.top.reading import Reading, Row
from greenpool.top.wishes import Order


@dataclass(frozen=True, slots=True)
class Picture:
    """What is shown; `tables` by their titles, in the order from top to bottom."""

    summary: str
    tables: Mapping[str, Table]


def picture(before: Reading, now: Reading, order: Order) -> Picture:
    """Make the picture of now, with rates since before."""
    seconds = max(now.at_s - before.at_s, 1e-3)
    pools = [_pool(row) for row in now.pools]
    databases = list(_databases(before, now, seconds))
    return Picture(
        _summary(pools, databases),
        {
            "workers": _table(_WORKER_COLUMNS, map(_worker, now.workers)),
            "databases": _table(_DATABASE_COLUMNS, databases),
            "pools": _table(_POOL_COLUMNS, sorted(pools, key=_KEYS[order])),
        },
    )


Values = Mapping[str, str]

_WORKER_COLUMNS = (
    Column("worker", INT8),
    Column("pid", INT8),
    Column("clients", INT8),
    Column("busy_percent", FLOAT8),
    Column("moved_in", INT8),
    Column("moved_out", INT8),
    Column("io_backend"),
)
_DATABASE_COLUMNS = (
    Column("database", TEXT),
    Column("queries_s", FLOAT8),
    Column("transactions_s", FLOAT8),
    Column("query_ms", FLOAT8),
    Column("transaction_ms", FLOAT8),
    Column("wait_ms", FLOAT8),
    Column("in_kb_s", FLOAT8),
    Column("out_kb_s", FLOAT8),
)
_POOL_COLUMNS = (
    Column("database", TEXT),
    Column("user", TEXT),
    Column("pool_mode", TEXT),
    Column("waiting", INT8),
    Column("longest_s", FLOAT8),
    Column("active", INT8),
    Column("idle", INT8),
    Column("sv_active", INT8),
    Column("sv_idle", INT8),
    Column("sv_login", INT8),
    Column("pool_size", INT8),
)


def _worker(row: Row) -> Values:
    return {**row, "busy_percent": f"{int(row['busy_permille']) / 10:.1f}"}


def _pool(row: Row) -> Values:
    """Count apart who is idle: PgBouncer's cl_active has them, too."""
    idle = int(row["cl_idle"])
    longest_s = int(row["maxwait"]) + int(row["maxwait_us"]) / 1e6
    return {
        **row,
        "waiting": row["cl_waiting"],
        "longest_s": f"{longest_s:.3f}",
        "active": str(max(0, int(row["cl_active"]) - idle)),
        "idle": str(idle),
    }


def _databases(before: Reading, now: Reading, seconds: float) -> Iterable[Values]:
    earlier = {row["database"]: row for row in before.stats}
    for row in now.stats:
        old = earlier.get(row["database"], row)

        def since(name: str, row: Row = row, old: Row = old) -> int:
            return max(0, int(row[name]) - int(old[name]))

        yield {
            "database": row["database"],
            "queries_s": f"{since('total_query_count') / seconds:.1f}",
            "transactions_s": f"{since('total_xact_count') / seconds:.1f}",
            "query_ms": _mean_ms(since("total_query_time"), since("total_query_count")),
            "transaction_ms": _mean_ms(since("total_xact_time"), since("total_xact_count")),
            "wait_ms": _mean_ms(since("total_wait_time"), since("total_server_assignment_count")),
            "in_kb_s": f"{since('total_received') / seconds / 1024:.1f}",
            "out_kb_s": f"{since('total_sent') / seconds / 1024:.1f}",
        }


def _summary(pools: Iterable[Values], databases: Iterable[Values]) -> str:
    pools = list(pools)

    def total(name: str) -> int:
        return sum(int(pool[name]) for pool in pools)

    queries = sum(float(row["queries_s"]) for row in databases)
    longest = max((float(pool["longest_s"]) for pool in pools), default=0.0)
    return (
        f"clients: {total('active')} active, {total('waiting')} waiting "
        f"(the longest {longest:.1f} s), {total('idle')} idle   "
        f"servers: {total('sv_active')} active, {total('sv_idle')} idle   "
        f"{queries:.0f} queries/s"
    )


def _table(columns: tuple[Column, ...], rows: Iterable[Values]) -> Table:
    return Table(columns, tuple(tuple(row[each.name] for each in columns) for row in rows))


def _mean_ms(total_us: int, count: int) -> str:
    return f"{total_us / count / 1000 if count else 0.0:.3f}"


def _name(pool: Values) -> tuple[str, str]:
    return pool["database"], pool["user"]


_KEYS: Mapping[Order, Callable[[Values], tuple[object, ...]]] = {
    Order.WAITING: lambda pool: (-int(pool["waiting"]), -int(pool["active"]), *_name(pool)),
    Order.ACTIVE: lambda pool: (-int(pool["active"]), *_name(pool)),
    Order.SERVERS: lambda pool: (-int(pool["sv_active"]) - int(pool["sv_idle"]), *_name(pool)),
    Order.NAME: _name,
}
