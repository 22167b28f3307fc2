"""Logins at servers that are away: one at a time, at the cost of nobody else's pool."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.ports import PortLock
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.proxy import Fate, Proxy
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

pytestmark = ANY_POSTGRESQL


def waiting_workers(pooler: Pooler) -> set[int]:
    rows = pooler.admin("show clients")
    return {int(row["worker"]) for row in rows if row["database"] == "away"}


def test_one_login_at_a_time_probes_a_dead_server(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    """Each worker probed by itself, as often as the pool might have had logins in flight."""
    with Proxy(pg) as away, ExitStack() as stack:
        away.fail(Fate.BLACKHOLE)
        pooler = make_pooler(
            2,
            pools={"app": {}, "away": away.pool},
            connect_timeout="150ms",
            query_wait_timeout="1h",
            max_concurrent_creates=10,
            scaling_max_parallel_creates=10,
        )

        def join() -> bool:
            wire = stack.enter_context(Wire.connect(pooler.host, pooler.port))
            wire.authenticate("app", "away")
            return waiting_workers(pooler) == {0, 1}

        wait_for(join, "clients of both workers wait for the server")
        wait_for(lambda: pooler.log().count("cannot open a server") >= 2, "attempts have failed")
        away.attempts = away.most_at_once = 0
        wait_for(lambda: away.attempts >= 6, "there are more attempts")
        assert away.most_at_once == 1


def test_dead_pools_do_not_keep_others_from_growing(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    """Logins slept over their back-off in the places of max_concurrent_creates."""
    away = PortLock()
    pooler = make_pooler(
        1,
        pools={"app": {}, "away": {"server_port": away.port}},
        query_wait_timeout="1h",
        max_concurrent_creates=1,
    )
    with Wire.connect(pooler.host, pooler.port) as waiting:
        waiting.authenticate("app", "away")
        wait_for(lambda: pooler.log().count("cannot open a server") >= 4, "attempts have failed")
        with Wire.connect(pooler.host, pooler.port) as wire:
            wire.login()
            took_s = []
            for _ in range(10):
                pg.terminate("app")
                begin = time.monotonic()
                assert wire.rows("select 1") == [[b"1"]]
                took_s.append(time.monotonic() - begin)
            assert statistics.median(took_s) < 0.5  # the back-offs alone would have taken one each
    away.release()
