"""Logins at servers that are away: one at a time, at the cost of nobody else's pool."""

from __future__ import annotations

import selectors
import socket
import statistics
import threading
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.ports import PortLock
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

pytestmark = ANY_POSTGRESQL

HOLD_S = 0.15


class Sink:
    """Own a server that lets each connection wait for HOLD_S, and then closes it without a word.

    `most` is the largest number of connections open at once since `forget`, `count` their number.
    """

    def __init__(self) -> None:
        self.most = self.count = 0
        self._ends: dict[socket.socket, float] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sink", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()
        self._listener.close()

    def forget(self) -> None:
        self.most = self.count = 0

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._is_over.is_set():
                if selector.select(0.01):
                    self._ends[self._listener.accept()[0]] = time.monotonic() + HOLD_S
                    self.count += 1
                    self.most = max(self.most, len(self._ends))
                self._close(time.monotonic())
            self._close(float("inf"))

    def _close(self, now: float) -> None:
        for sock in [each for each, end in self._ends.items() if end <= now]:
            del self._ends[sock]
            sock.close()


def waiting_workers(pooler: Pooler) -> set[int]:
    rows = pooler.admin("show clients")
    return {int(row["worker"]) for row in rows if row["database"] == "away"}


def test_one_login_at_a_time_probes_a_dead_server(make_pooler: MakePooler) -> None:
    """Each worker probed by itself, as often as the pool might have had logins in flight."""
    with Sink() as sink, ExitStack() as stack:
        pooler = make_pooler(
            2,
            pools={"app": {}, "away": {"server_port": sink.port}},
            query_wait_timeout="1h",
            max_concurrent_creates=10,
            scaling_max_parallel_creates=10,
        )

        def join() -> bool:
            wire = stack.enter_context(Wire.connect(pooler.host, pooler.port))
            wire.authenticate("app", "away")
            return waiting_workers(pooler) == {0, 1}

        wait_for(join, "clients of both workers wait for the server", 20)
        wait_for(lambda: pooler.log().count("cannot open a server") >= 2, "attempts have failed")
        sink.forget()
        wait_for(lambda: sink.count >= 6, "there are more attempts", 20)
        assert sink.most == 1


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
