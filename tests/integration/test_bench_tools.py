"""The programs that measure: a server that answers at once, thousands of clients in one process.

What they say must be true before anybody compares it: all that was asked is answered, through
greenpool too, and a stall is seen in the latency of everything that it delayed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import psycopg
import pytest

from benchmarks.tools import start_null_server, tool
from greenpool.protocol import frontend
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.processes import descendants

ENDLESS_BYTES = 200 << 20
"""More than sockets hold, whatever the machine's settings."""

EXCHANGES = ["simple", "extended", "prepared", "pipelined", "transaction"]


@dataclass(frozen=True, slots=True)
class NullServer:
    """Stand in for the harness's PostgreSQL: a pooler asks where it is, and nothing else."""

    port: int
    pid: int
    host: str = "127.0.0.1"


@pytest.fixture
def null_server() -> Iterator[NullServer]:
    with ExitStack() as stack:
        port = start_null_server(stack)
        (process,) = [each for each in descendants() if each.name() == "nullserver"]
        yield NullServer(port, process.pid)


@pytest.fixture(params=[1, 2], ids=lambda workers: f"{workers}w")
def pooler(null_server: NullServer, request: pytest.FixtureRequest) -> Iterator[Pooler]:
    users = [{"username": "bench", "pool_size": 5}]  # no password: nobody is asked for one
    pools = {"bench": {"users": users, "query_wait_timeout": "30s"}}
    pooler = Pooler(cast(PostgreSQL, null_server), request.param, pools)
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.stop()
        pooler.release()


@contextmanager
def running_load(port: int, **options: object) -> Iterator[subprocess.Popen[str]]:
    words = [f"{name}={value}" for name, value in options.items()]
    with subprocess.Popen(
        [str(tool("load")), str(port), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def figures_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Read the figures, let it go, and see that it goes by itself."""
    said, complaint = process.communicate("", timeout=50)
    assert process.returncode == 0, complaint
    figures: dict[str, Any] = json.loads(said.splitlines()[-1])
    return figures


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_every_exchange_goes_through_greenpool(pooler: Pooler, exchange: str) -> None:
    options = {"exchange": exchange, "clients": 40, "warm_up": 0.1, "seconds": 0.5}
    with running_load(pooler.port, **options) as load:
        figures = figures_of(load)
    assert figures["transactions"] > 0
    assert figures["unanswered"] == 0
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"] < 30_000


def test_thousand_clients_log_in(pooler: Pooler) -> None:
    with running_load(pooler.port, clients=1000, warm_up=0.1, seconds=0.5) as load:
        figures = figures_of(load)
    assert figures["transactions"] > 0
    assert figures["unanswered"] == 0


def test_fixed_rate_is_kept_and_a_stall_is_seen(null_server: NullServer) -> None:
    """For 0.3 s nobody answers: the 300 transactions due meanwhile wait for the rest of it."""
    with running_load(null_server.port, rate=1000, warm_up=0.1, seconds=2) as load:
        assert load.stdout is not None
        assert load.stdout.readline() == "begin\n"
        os.kill(null_server.pid, signal.SIGSTOP)
        time.sleep(0.3)
        os.kill(null_server.pid, signal.SIGCONT)
        figures = figures_of(load)
    assert abs(figures["transactions"] - 2000) <= 1
    assert figures["unanswered"] == 0
    assert figures["max_ms"] > 250
    assert figures["p99_ms"] > 150


def test_what_a_client_is_told_ends_the_load(pooler: Pooler) -> None:
    with running_load(pooler.port, database="missing") as load:
        _, complaint = load.communicate("", timeout=30)
    assert load.returncode == 1
    assert 'database "missing" does not exist' in complaint


@pytest.mark.parametrize("option", ["rate=-1", "clients=0", "clients=x", "speed=1", "seconds"])
def test_load_refuses_what_it_cannot_understand(option: str) -> None:
    done = subprocess.run([str(tool("load")), "1", option], capture_output=True, text=True)
    assert done.returncode == 2
    assert option in done.stderr


def test_null_server_satisfies_libpq(null_server: NullServer) -> None:
    dsn = f"host=127.0.0.1 port={null_server.port} user=ann dbname=shop"
    with contextlib.closing(psycopg.connect(dsn, autocommit=True)) as connection:
        assert connection.info.server_version == 150000
        assert connection.execute("select 1").fetchall() == [(1,)]
        assert connection.execute("select %s", ("x",), prepare=True).fetchall() == [(1,)]
        with connection.transaction():
            status = connection.info.transaction_status
            assert status == psycopg.pq.TransactionStatus.INTRANS
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with connection.pipeline():
            cursors = [connection.execute("select %s", ("x",)) for _ in range(50)]
        assert [cursor.fetchall() for cursor in cursors] == [[(1,)]] * 50


def test_null_server_stops_reading_while_nobody_reads_from_it(null_server: NullServer) -> None:
    """It takes no more questions once sockets are full of answers, and forgets none of them."""
    question, ready = frontend.query("select 1" + 200 * " "), b"Z\0\0\0\x05I"
    with socket.create_connection(("127.0.0.1", null_server.port), timeout=30) as client:
        client.sendall(frontend.startup_message({"user": "ann", "database": "shop"}))
        _read_until(client, ready, 1)
        sent = 0
        while select.select([], [client], [], 0.5)[1] and sent < ENDLESS_BYTES:
            sent += client.send((question * 1000)[sent % len(question) :])
        assert sent < ENDLESS_BYTES
        whole, cut = divmod(sent, len(question))
        _read_until(client, ready, whole)
        client.sendall(question[cut:])
        _read_until(client, ready, 1)


def _read_until(client: socket.socket, ending: bytes, count: int) -> None:
    """Read until that many messages with this ending have come, and not a byte more."""
    found, tail = 0, b""
    while found < count or not tail.endswith(ending):
        chunk = client.recv(1 << 20)
        assert chunk, "it hung up"
        found += (tail + chunk).count(ending) - tail.count(ending)
        tail = (tail + chunk)[-len(ending) :]
    assert found == count
