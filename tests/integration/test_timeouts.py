"""Every time-out ends as PostgreSQL's own would: with its SQLSTATE, and nothing stays behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness import messages
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Message, Wire

pytestmark = ANY_POSTGRESQL

TIMEOUT, TIMEOUT_S = "400ms", 0.4
LATE_S = 8.0  # more than the janitor needs, on a machine that is very busy


@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
def test_query_wait_timeout_keeps_the_client(make_pooler: MakePooler, extended: bool) -> None:
    pooler = _make(make_pooler, query_wait_timeout=TIMEOUT)
    question = messages.extended("select 1") if extended else messages.query("select 1")
    with _login(pooler) as holder, _login(pooler) as waiter:
        holder.query("begin")
        holder.query("select 1")
        with _time_passes():
            waiter.send(question)
            error, ready = waiter.read_until(b"Z")
        assert _complaint(error) == ("ERROR", "53300")
        assert "query_wait_timeout" in error.fields["M"]
        assert ready.body == b"I"
        holder.query("commit")
        assert waiter.rows("select 2") == [[b"2"]]
    wait_for_balance(pooler, 0)


def test_idle_transaction_timeout_frees_locks(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = _make(make_pooler, idle_transaction_timeout=TIMEOUT)
    with _login(pooler) as holder, _login(pooler) as waiter:
        holder.query("begin")
        holder.query("select pg_advisory_xact_lock(1)")
        with _time_passes():
            (error,) = holder.read_to_end()
        assert _complaint(error) == ("FATAL", "25P03")
        assert waiter.rows("select count(*) from pg_locks where locktype = 'advisory'") == [[b"0"]]
        assert waiter.rows("select 2") == [[b"2"]]
        wait_for(lambda: len(pg.backends("app")) == 1, "the server is used again")


def test_idle_transaction_timeout_spares_who_works(make_pooler: MakePooler) -> None:
    pooler = _make(make_pooler, idle_transaction_timeout=TIMEOUT)
    with _login(pooler) as wire:
        wire.query("begin")
        assert wire.rows(f"select pg_sleep({3 * TIMEOUT_S})") == [[b""]]
        assert wire.query("commit")[0].body == b"COMMIT\0"


def test_client_idle_timeout_closes_idle_clients(make_pooler: MakePooler) -> None:
    pooler = _make(make_pooler, client_idle_timeout=TIMEOUT)
    with _time_passes(), _login(pooler) as idle, _login(pooler) as working:
        working.send(messages.query(f"select pg_sleep({3 * TIMEOUT_S})"))
        (error,) = idle.read_to_end()
        assert _complaint(error) == ("FATAL", "57P05")
        assert working.read_until(b"Z")[-1].body == b"I"
    wait_for_balance(pooler, 0)


def test_client_idle_timeout_closes_who_keeps_a_server(make_pooler: MakePooler) -> None:
    pools = {"app": {"pool_mode": "session", "users": [user(pool_size=2)]}}
    pooler = make_pooler(2, pools=pools, client_idle_timeout=TIMEOUT)
    with _login(pooler) as idle, _login(pooler) as working:
        assert idle.rows("select 1") == [[b"1"]]
        working.send(messages.query(f"select pg_sleep({3 * TIMEOUT_S})"))
        with _time_passes():
            (error,) = idle.read_to_end()
        assert _complaint(error) == ("FATAL", "57P05")
        assert working.read_until(b"Z")[-1].body == b"I"


def test_client_login_timeout_ends_the_silent(make_pooler: MakePooler) -> None:
    pooler = _make(make_pooler, client_login_timeout=TIMEOUT)
    with Wire.connect(pooler.host, pooler.port) as mute, _time_passes():
        assert mute.read_to_end() == []
    with Wire.connect(pooler.host, pooler.port) as hesitant:
        hesitant.send(messages.startup({"user": "app", "database": "app"}))
        found = hesitant.read_to_end()
        assert _complaint(found[-1]) == ("FATAL", "57014")
    wait_for_balance(pooler, 0)


def _make(make_pooler: MakePooler, **general: str) -> Pooler:
    return make_pooler(2, pools={"app": {"users": [user(pool_size=1)]}}, **general)


def _login(pooler: Pooler) -> Wire:
    wire = Wire.connect(pooler.host, pooler.port)
    wire.login()
    return wire


def _complaint(message: Message) -> tuple[str, str]:
    return message.fields["S"], message.fields["C"]


@contextmanager
def _time_passes() -> Iterator[None]:
    """Expect the block to last for the time-out, and not much longer."""
    began = time.monotonic()
    yield
    lasted_s = time.monotonic() - began
    # Clocks are read at both ends of a socket: what begins here began a little earlier there.
    assert 0.9 * TIMEOUT_S <= lasted_s <= TIMEOUT_S + LATE_S
