"""Slow readers, slow writers and hoarders hold no more than they may, and are in nobody's way."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psutil
import psycopg
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness import messages
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.pooler import ADMIN_DATABASE, QUIET, Pooler, user
from tests.integration.harness.sampler import Sampler
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Message, Wire

pytestmark = ANY_POSTGRESQL

MB = 1 << 20
GIGABYTE = "select repeat('x', 1000) from generate_series(1, 1000000)"


@pytest.fixture(params=["epoll", "auto"])
def io_backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_a_reader_of_a_byte_at_a_time_is_in_nobodys_way(
    make_pooler: MakePooler, io_backend: str
) -> None:
    """A result of 1 GB, of which next to nothing is read: others are served, nothing grows."""
    pooler = make_pooler(1, io_backend=io_backend, **QUIET)
    with _login(pooler) as slow, _login(pooler) as other:
        assert slow.rows("select 1") == other.rows("select 1") == [[b"1"]]
        with _growth_bounded(pooler, 8 * MB):
            slow.send(messages.query(GIGABYTE))
            for _ in range(300):
                assert len(slow.sock.recv(1)) == 1
                assert other.rows("select 2") == [[b"2"]]
            with _meter(pooler) as held:
                assert held() < MB
    wait_for_balance(pooler, 0)


def test_many_slow_readers_share_what_there_is(make_pooler: MakePooler, io_backend: str) -> None:
    """Each would hold 64 KB; in all they may have less. Nobody else hears of it."""
    limit = 2 * MB
    pooler = make_pooler(
        1,
        pools={"app": {"users": [user(pool_size=80)]}},
        io_backend=io_backend,
        max_memory_usage=limit,
        scaling_max_parallel_creates=8,
        max_concurrent_creates=8,
        tcp_socket_buffer_size="16KB",
        **QUIET,
    )
    with _meter(pooler) as held, ExitStack() as stack, Sampler(held) as sampler:
        readers = [stack.enter_context(_login(pooler)) for _ in range(60)]
        other = stack.enter_context(_login(pooler))
        for reader in readers:
            reader.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.send(messages.query(GIGABYTE))
        wait_for(lambda: _active(pooler) == len(readers), "all have a server")
        for _ in range(100):
            assert other.rows("select 1") == [[b"1"]]
        assert _active(pooler) == len(readers)  # nobody has been ended
    assert 0 < sampler.most <= limit
    wait_for_balance(pooler, 0)


def test_a_hoarder_of_statements_is_ended(make_pooler: MakePooler) -> None:
    """What it holds is bounded, its end is told as PostgreSQL would, and gives all of it back."""
    limit = 8 * MB
    pooler = make_pooler(2, max_memory_usage=limit, **QUIET)
    with _meter(pooler) as held, _login(pooler) as other:
        with Sampler(held) as sampler, _login(pooler) as hoarder:
            found = _hoard(hoarder)
        assert _complaints(found) == [("FATAL", "53200")]
        assert other.rows("select 1") == [[b"1"]]
        assert 4 * MB < sampler.most <= limit
        wait_for(lambda: held() < 3 * MB, "it is given back")  # but for one text, kept for anyone
    wait_for_balance(pooler, 0)


def test_a_statement_that_would_not_fit_is_refused(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1, max_memory_usage=MB, **QUIET)
    with _login(pooler) as writer, _login(pooler) as other:
        text = "select 1 /*" + "x" * (4 * MB) + "*/"
        _send_what_it_takes(writer, messages.parse(text), messages.sync())
        assert _complaints(writer.read_to_end()) == [("FATAL", "53200")]
        assert other.rows("select 1") == [[b"1"]]
    wait_for_balance(pooler, 0)


def test_large_values_need_no_memory(make_pooler: MakePooler) -> None:
    """Whatever is passed on as it comes may be larger than the limit by far."""
    size = 16 * MB
    pooler = make_pooler(1, max_memory_usage=2 * MB, **QUIET)
    with _login(pooler) as wire:
        wire.send(messages.extended("select length($1::text)", [b"x" * size]))
        found = wire.read_until(b"Z", 30.0)
        assert [each.values for each in found if each.kind == b"D"] == [[str(size).encode()]]
        assert len(wire.rows(f"select repeat('x', {size})")[0][0] or b"") == size


def test_pools_memory_tells_who_holds_what(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2, **QUIET)
    with _login(pooler) as wire:
        text = "select 1 /*" + "x" * 1000 + "*/"
        for name in ("a", "b", ""):
            wire.send(messages.parse(text, name), messages.sync())
            wire.read_until(b"Z")

        def row() -> dict[str, object]:
            (found,) = [r for r in pooler.admin("SHOW POOLS_MEMORY") if r["database"] == "app"]
            return found

        wait_for(lambda: row()["client_prepared_count"] == 3, "its statements are told")
        assert (row()["client_named_count"], row()["client_anonymous_count"]) == (2, 1)
        assert 3000 < int(str(row()["client_prepared_bytes"])) < 4000
        assert row()["pool_prepared_count"] == 1
    wait_for(lambda: row()["client_prepared_count"] == 0, "they go with their client")


# ---- below ----------------------------------------------------------------------------------


def _login(pooler: Pooler) -> Wire:
    wire = Wire.connect(pooler.host, pooler.port)
    wire.login()
    return wire


@contextmanager
def _meter(pooler: Pooler) -> Iterator[Callable[[], int]]:
    """Give a function that tells what all workers hold."""
    dsn = f"host={pooler.host} port={pooler.port} dbname={ADMIN_DATABASE} user=admin"
    with psycopg.connect(f"{dsn} password=admin-secret", autocommit=True) as connection:

        def held() -> int:
            rows = connection.execute("SHOW MEM").fetchall()
            return sum(row[4] for row in rows if row[0] != "max_memory_usage")

        yield held


def _active(pooler: Pooler) -> int:
    return sum(row["cl_active"] - row["cl_idle"] for row in pooler.admin("SHOW POOLS"))


def _hoard(wire: Wire) -> list[Message]:
    """Prepare one statement of 1 MB after the other; return what it hears when that is over."""
    for number in range(100):
        text = f"select {number} /*" + "x" * MB + "*/"
        wire.send(messages.parse(text, f"s{number}"), messages.sync())
        found = [wire.read()]
        while found[-1].kind not in (b"Z", b"E"):
            found.append(wire.read())
        if found[-1].kind == b"E":
            return found
    raise AssertionError("it may hoard for ever")


def _send_what_it_takes(wire: Wire, *parts: bytes) -> None:
    try:
        wire.send(*parts)
    except (BrokenPipeError, ConnectionResetError):
        return  # it has heard enough


def _complaints(found: list[Message]) -> list[tuple[str, str]]:
    errors = [each.fields for each in found if each.kind == b"E"]
    return [(each["S"], each["C"]) for each in errors]


@contextmanager
def _growth_bounded(pooler: Pooler, most: int) -> Iterator[None]:
    """Fail when the worker's own memory (Pss) has grown by more at any time during the block."""
    (worker,) = [psutil.Process(pid) for pid in pooler.worker_pids()]
    before = worker.memory_full_info().pss
    with Sampler(lambda: worker.memory_full_info().pss - before) as sampler:
        yield
    assert sampler.most <= most
