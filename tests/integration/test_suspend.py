"""SUSPEND: nothing moves until RESUME, and nothing is lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness import messages
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

pytestmark = ANY_POSTGRESQL

GIGABYTE = "select repeat('x', 1000) from generate_series(1, 1000000)"


@pytest.fixture(params=["epoll", "auto"])
def io_backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_nothing_is_read_until_resume(make_pooler: MakePooler, io_backend: str) -> None:
    """Not of a transaction, of a client at rest, nor of one that comes; and no time-out counts."""
    limits = {"query_wait_timeout": "700ms", "idle_transaction_timeout": "5s"}
    pooler = make_pooler(2, io_backend=io_backend, **limits, **QUIET)
    with _login(pooler) as inside, _login(pooler) as idle:
        inside.query("begin")
        assert inside.rows("select 1") == idle.rows("select 1") == [[b"1"]]
        pooler.admin("SUSPEND")
        assert _state(pooler) == {"active": "no", "paused": "no", "suspended": "yes"}
        with _login(pooler) as late:
            for number, each in enumerate((inside, idle, late)):
                each.send(messages.query(f"select {number}"))
            assert all(each.is_silent(0.5) for each in (inside, idle, late))
            pooler.admin("RESUME")
            for number, each in enumerate((inside, idle, late)):
                found = each.read_until(b"Z")
                rows = [message.values for message in found if message.kind == b"D"]
                assert rows == [[str(number).encode()]]
        assert inside.query("commit")[-1].body == b"I"
    assert _state(pooler) == {"active": "yes", "paused": "no", "suspended": "no"}
    wait_for_balance(pooler, 0)


def test_suspend_waits_for_what_is_unsent(make_pooler: MakePooler, io_backend: str) -> None:
    pooler = make_pooler(1, io_backend=io_backend, **QUIET)
    with _login(pooler) as reader, ThreadPoolExecutor(1) as pool:
        reader.send(messages.query(GIGABYTE))
        assert reader.read().kind == b"T"
        wait_for(lambda: _buffered(pooler), "it does not take all that is sent")
        suspension = pool.submit(pooler.admin, "SUSPEND")
        wait_for(lambda: _state(pooler)["suspended"] == "yes", "it is suspended")
        assert _drain(reader) < 512 << 20  # what went on for a tenth of a second, and not the rest
        suspension.result(10.0)
        assert _drain(reader) == 0
        pooler.admin("RESUME")
        reader.skip(64 << 20, bytearray(1 << 16))
    wait_for_balance(pooler, 0)


def test_who_leaves_meanwhile_is_cleaned_up_behind(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2, pools={"app": {"users": [user(pool_size=1)]}}, **QUIET)
    with _login(pooler) as inside:
        inside.query("begin")
        inside.rows("select 1")
        pooler.admin("SUSPEND")
    pooler.admin("RESUME")
    with _login(pooler) as other:
        assert other.rows("select 1") == [[b"1"]]
    wait_for_balance(pooler, 0)


def _login(pooler: Pooler) -> Wire:
    wire = Wire.connect(pooler.host, pooler.port)
    wire.login()
    return wire


def _drain(wire: Wire) -> int:
    """Read until nothing more comes; return how much it was."""
    taken, scratch = 0, bytearray(1 << 16)
    wire.sock.settimeout(1.0)
    try:
        while got := wire.sock.recv_into(scratch):
            taken += got
    except TimeoutError:
        wire.sock.settimeout(10.0)
        return taken
    raise AssertionError("it has been closed")


def _state(pooler: Pooler) -> dict[str, str]:
    return {row["key"]: row["value"] for row in pooler.admin("SHOW STATE")}


def _buffered(pooler: Pooler) -> int:
    return sum(row["buffer_bytes"] for row in pooler.admin("SHOW POOLS_MEMORY"))
