"""Messages of any size pass through workers that do not grow."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness import messages
from tests.integration.harness.pooler import QUIET, Pooler
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.sampler import Sampler
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

MB = 1 << 20
ROW_MB = 200
COPY_MB = 1024
GROWTH_MB = 16
DEADLINE_S = 50.0

pytestmark = [pytest.mark.slow, ANY_POSTGRESQL]


@pytest.fixture
def pooler(make_pooler: MakePooler) -> Pooler:
    return make_pooler(2, **QUIET)


@pytest.fixture
def wire(pooler: Pooler) -> Iterator[Wire]:
    """Return a client that has been served already, so that what comes after is growth."""
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login()
        wire.query("select 1")
        wire.sock.settimeout(DEADLINE_S)
        yield wire


def test_large_row_to_the_client(pooler: Pooler, wire: Wire) -> None:
    with _growth_bounded(pooler):
        wire.send(messages.query(f"select repeat('x', {ROW_MB * MB})"))
        sizes = _discard(wire)
    assert sizes[b"D"] > ROW_MB * MB
    assert wire.rows("select 2") == [[b"2"]]


def test_large_row_waits_for_a_client_that_does_not_read(
    pooler: Pooler, wire: Wire, pg: PostgreSQL
) -> None:
    with _growth_bounded(pooler):
        wire.send(messages.query(f"select repeat('x', {ROW_MB * MB})"))
        waits = (
            "select 1 from pg_stat_activity where usename = 'app' and wait_event = 'ClientWrite'"
        )
        wait_for(lambda: pg.sql(waits), "PostgreSQL waits for its client")
        with pooler.connect() as other:  # nobody else has to wait
            assert other.execute("select 1").fetchone() == (1,)
        sizes = _discard(wire)
    assert sizes[b"D"] > ROW_MB * MB


def test_large_value_to_the_server(pooler: Pooler, wire: Wire) -> None:
    size = ROW_MB * MB
    head = b"\0\0" + struct.pack("!HHi", 0, 1, size)
    with _growth_bounded(pooler):
        wire.send(messages.parse("select length($1::text)"))
        wire.send(b"B" + struct.pack("!I", 4 + len(head) + size + 2) + head)
        for _ in range(ROW_MB):
            wire.send(b"x" * MB)
        wire.send(b"\0\0", messages.execute(), messages.sync())
        found = wire.read_until(b"Z", DEADLINE_S)
    assert [each.values for each in found if each.kind == b"D"] == [[str(size).encode()]]


def test_copy_to_the_client(pooler: Pooler, wire: Wire) -> None:
    with _growth_bounded(pooler):
        rows = f"select repeat('x', {MB}) from generate_series(1, {COPY_MB})"
        wire.send(messages.query(f"copy ({rows}) to stdout"))
        sizes = _discard(wire)
    assert sizes[b"d"] > COPY_MB * MB
    assert wire.rows("select 2") == [[b"2"]]


def test_copy_to_the_server(pooler: Pooler, wire: Wire, pg: PostgreSQL) -> None:
    wire.query("create table if not exists swallowed (line text)")
    line = b"x" * 1023 + b"\n"
    data = messages.copy_data(line * 1024)
    with _growth_bounded(pooler):
        # Rows are parsed and then left out, so that the disk has no part in it.
        wire.send(messages.query("copy swallowed from stdin where line = ''"))
        assert wire.read().kind == b"G"
        for _ in range(COPY_MB):
            wire.send(data)
        wire.send(messages.copy_done())
        found = wire.read_until(b"Z", DEADLINE_S)
    assert [each.body for each in found if each.kind == b"C"] == [b"COPY 0\0"]


@contextmanager
def _growth_bounded(pooler: Pooler) -> Iterator[None]:
    """Fail when a worker's resident memory has grown too much at any time during the block."""
    workers = [psutil.Process(pid) for pid in pooler.worker_pids()]
    before = [each.memory_info().rss for each in workers]

    def growth() -> int:
        return max(each.memory_info().rss - rss for each, rss in zip(workers, before, strict=True))

    with Sampler(growth) as sampler:
        yield
    print(f"workers grew by {sampler.most / MB:.1f} MB at most, in {sampler.samples} samples")
    assert sampler.most <= GROWTH_MB * MB


def _discard(wire: Wire) -> dict[bytes, int]:
    """Read up to ReadyForQuery, keep nothing; return the bytes of each kind of message."""
    sizes: dict[bytes, int] = {}
    scratch = bytearray(MB)
    kind = b""
    while kind != b"Z":
        kind, length = struct.unpack("!cI", wire.read_bytes(5, DEADLINE_S))
        assert kind != b"E", wire.read_bytes(length - 4)
        sizes[kind] = sizes.get(kind, 0) + length
        wire.skip(length - 4, scratch)
    return sizes
