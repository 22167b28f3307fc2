"""Clients in the midst of what cannot be said again: a transaction, a COPY, half a message."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.integration.harness import messages
from tests.integration.harness.pooler import Connection, Pooler
from tests.integration.harness.wire import Wire


@contextmanager
def everything_open(pooler: Pooler, tls: ssl.SSLContext | None = None) -> Iterator[None]:
    """Leave everything open while the body runs; see that all of it goes on behind that.

    It takes four servers of the pool. With `tls` all clients are encrypted.
    """
    sslmode = "disable" if tls is None else "require"
    with (
        pooler.connect(autocommit=False, sslmode=sslmode) as holder,
        pooler.connect(sslmode=sslmode) as pinned,
        pooler.connect(prepare_threshold=0, sslmode=sslmode) as idle,
        pooler.connect(autocommit=False, sslmode=sslmode) as copier,
        Wire.connect(pooler.host, pooler.port, tls) as halved,
    ):
        holder.execute("create temp table mine on commit drop as select 42 as n")
        pinned.execute("listen news")
        idle.execute("set work_mem = '77kB'")
        idle.execute("select %s::int", [1])
        copier.execute("create temp table t (n int)")
        halved.login()
        halved.send(messages.query("select 7")[:9])
        backend = one(holder, "select pg_backend_pid()")
        with copier.cursor().copy("copy t from stdin") as copy:
            copy.write_row((1,))
            yield
            copy.write_row((2,))
        assert one(copier, "select count(*) from t") == 2
        assert one(holder, "select n from mine") == 42
        assert one(holder, "select pg_backend_pid()") == backend
        idle.execute("notify news")
        assert next(pinned.notifies(timeout=5, stop_after=1)).channel == "news"
        assert one(idle, "select %s::int", [2]) == 2
        assert one(idle, "show work_mem") == "77kB"
        halved.send(messages.query("select 7")[9:])
        assert b"7" in halved.read_until(b"Z")[1].body
        holder.rollback()
        copier.rollback()


def one(connection: Connection, text: str, parameters: Any = None) -> Any:
    """Return the only value of a query's only row."""
    row = connection.execute(text, parameters).fetchone()
    assert row is not None
    return row[0]
