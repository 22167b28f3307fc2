"""What lasts too long is ended: queries, transactions, COPY. What is merely slow is left alone.

Partner: `test_timeouts.py`, about waits and rests.
"""

from __future__ import annotations

import time

import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness import messages
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.postgres import MAJORS, PostgreSQL
from tests.integration.harness.processes import frozen
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Message, Wire

# One version of PostgreSQL: none of this depends on it.
pytestmark = pytest.mark.parametrize("_server", MAJORS[-1:], indirect=True)

LIMIT, LIMIT_S = "700ms", 0.7
# For what must not be ended, however busy the machine is.
LENIENT, LENIENT_S = "2500ms", 2.5
FOREVER = "select pg_sleep(60)"
MANY_ROWS = "copy (select repeat('x', 1000) from generate_series(1, 200000)) to stdout"


@pytest.fixture(params=["epoll", "auto"])
def io_backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


# ---- query_timeout --------------------------------------------------------------------------


@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
def test_query_timeout_cancels_and_keeps_the_client(
    make_pooler: MakePooler, io_backend: str, extended: bool
) -> None:
    pooler = _make(make_pooler, query_timeout=LIMIT, io_backend=io_backend)
    with _login(pooler) as wire:
        wire.send(messages.extended(FOREVER) if extended else messages.query(FOREVER))
        found = wire.read_until(b"Z")
        assert _complaints(found) == [("ERROR", "57014")]
        assert found[-1].body == b"I"
        assert wire.rows("select 1") == [[b"1"]]
    assert _counted(pooler, "query_timeout") == 1
    wait_for_balance(pooler, 0)


def test_query_timeout_fails_the_transaction_as_any_error(make_pooler: MakePooler) -> None:
    pooler = _make(make_pooler, query_timeout=LIMIT)
    with _login(pooler) as wire:
        wire.query("begin")
        assert wire.query(FOREVER)[-1].body == b"E"
        assert wire.query("rollback")[-1].body == b"I"
        assert wire.rows("select 1") == [[b"1"]]


def test_query_timeout_of_a_user_stands_over_the_general_one(make_pooler: MakePooler) -> None:
    users = [user(pool_size=1, query_timeout="1h")]
    pooler = make_pooler(2, pools={"app": {"users": users}}, query_timeout=LIMIT)
    with _login(pooler) as wire:
        assert wire.rows(f"select pg_sleep({3 * LIMIT_S})") == [[b""]]


def test_query_timeout_counts_each_query_by_itself(make_pooler: MakePooler) -> None:
    """A pipeline that was opened long ago, and nothing is asked in it, is no long query."""
    pooler = _make(make_pooler, query_timeout=LENIENT)
    with _login(pooler) as wire:
        wire.send(messages.parse("select 1"), messages.flush())
        assert wire.read().kind == b"1"
        pooler.sleep(LENIENT_S + 1)
        wire.send(messages.bind(), messages.execute(), messages.flush())
        assert [each.kind for each in wire.read_until(b"C")] == [b"2", b"D", b"C"]
        wire.send(messages.sync())
        assert not _complaints(wire.read_until(b"Z"))
    assert _counted(pooler, "query_timeout") == 0


def test_a_server_that_does_not_obey_is_closed(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = _make(make_pooler, query_timeout=LIMIT, cancel_wait_timeout="500ms")
    with _login(pooler) as wire:
        (row,) = wire.rows("select pg_backend_pid()")
        assert row[0]
        with frozen(int(row[0])):
            wire.send(messages.query("select 1"))
            found = wire.read_to_end()
            assert _complaints(found) == [("FATAL", "57014")]
            assert "query_timeout" in found[-1].fields["M"]
            with _login(pooler) as other:  # the place is free, although the backend still hangs
                assert other.rows("select 1") == [[b"1"]]
    wait_for(lambda: len(pg.backends("app")) == 1, "the backend that hung is gone")
    wait_for_balance(pooler, 0)


# ---- transactions ---------------------------------------------------------------------------


@pytest.mark.parametrize("running", [False, True], ids=["idle", "running"])
def test_transaction_timeout_ends_idle_and_running_ones(
    make_pooler: MakePooler, pg: PostgreSQL, running: bool
) -> None:
    pooler = _make(make_pooler, transaction_timeout=LIMIT)
    with _login(pooler) as holder, _login(pooler) as waiter:
        holder.query("begin")
        holder.query("select pg_advisory_xact_lock(1)")
        if running:
            holder.send(messages.query(FOREVER))
        found = holder.read_to_end()
        assert _complaints(found) == [("FATAL", "25P04")]
        assert found[-1].fields["M"] == "terminating connection due to transaction timeout"
        assert waiter.rows("select count(*) from pg_locks where locktype = 'advisory'") == [[b"0"]]
        wait_for(lambda: len(pg.backends("app")) == 1, "the server is used again")
    assert _counted(pooler, "transaction_timeout") == 1
    wait_for_balance(pooler, 0)


def test_transaction_timeout_begins_with_the_transaction(make_pooler: MakePooler) -> None:
    """Where a client keeps its server, the time between transactions does not count."""
    pools = {"app": {"pool_mode": "session", "users": [user(pool_size=1)]}}
    pooler = make_pooler(2, pools=pools, transaction_timeout=LENIENT)
    with _login(pooler) as wire:
        for _ in range(2):
            wire.query("begin")
            wire.rows("select 1")
            assert wire.query("commit")[-1].body == b"I"
            pooler.sleep(LENIENT_S + 1)
        assert wire.rows("select 1") == [[b"1"]]


@pytest.mark.parametrize(
    ("setting", "sqlstate"),
    [("transaction_timeout", "25P04"), ("idle_transaction_timeout", "25P03")],
)
def test_a_begin_that_no_server_knows_of_is_a_transaction(
    make_pooler: MakePooler, setting: str, sqlstate: str
) -> None:
    pooler = _make(make_pooler, client_idle_timeout="100ms", **{setting: LIMIT})
    with _login(pooler) as wire:
        wire.query("begin")
        assert _complaints(wire.read_to_end()) == [("FATAL", sqlstate)]
    assert _counted(pooler, setting) == 1


def test_idle_transaction_timeout_ends_a_pipeline_without_sync(make_pooler: MakePooler) -> None:
    pooler = _make(make_pooler, idle_transaction_timeout=LIMIT)
    with _login(pooler) as holder, _login(pooler) as waiter:
        holder.send(messages.parse("select 1"), messages.bind(), messages.execute())
        holder.send(messages.flush())
        holder.read_until(b"C")
        assert waiter.rows("select 2") == [[b"2"]]
        assert _complaints(holder.read_to_end()) == [("FATAL", "25P03")]


# ---- COPY -----------------------------------------------------------------------------------


def test_copy_that_is_not_fed_is_ended(
    make_pooler: MakePooler, database: str, io_backend: str
) -> None:
    pooler = _make(make_pooler, database, proxy_copy_data_timeout=LIMIT, io_backend=io_backend)
    with _login(pooler, database) as feeder, _login(pooler, database) as other:
        feeder.query("create table t (n int)")
        feeder.send(messages.query("copy t from stdin"))
        assert feeder.read().kind == b"G"
        feeder.send(messages.copy_data(b"1\n"))
        found = feeder.read_to_end()
        assert _complaints(found) == [("FATAL", "57014")]
        assert "proxy_copy_data_timeout" in found[-1].fields["M"]
        assert other.rows("select count(*) from t") == [[b"0"]]
    assert _counted(pooler, "copy_timeout", database) == 1
    wait_for_balance(pooler, 0)


def test_copy_that_is_fed_slowly_goes_on(make_pooler: MakePooler, database: str) -> None:
    """Also within one message, whose bytes come one by one."""
    pooler = _make(make_pooler, database, proxy_copy_data_timeout=LENIENT)
    row = messages.copy_data(b"1\n")
    with _login(pooler, database) as feeder:
        feeder.query("create table t (n int)")
        feeder.send(messages.query("copy t from stdin"))
        assert feeder.read().kind == b"G"
        for piece in (row, *(row[at : at + 1] for at in range(len(row))), row):
            pooler.sleep(LENIENT_S / 7)
            feeder.send(piece)
        feeder.send(messages.copy_done())
        assert [each.kind for each in feeder.read_until(b"Z")] == [b"C", b"Z"]
        assert feeder.rows("select count(*) from t") == [[b"3"]]


def test_copy_that_is_not_read_is_ended(make_pooler: MakePooler, io_backend: str) -> None:
    pooler = _make(make_pooler, proxy_copy_data_timeout=LIMIT, io_backend=io_backend)
    with _login(pooler) as reader, _login(pooler) as other:
        reader.send(messages.query(MANY_ROWS))
        assert reader.read().kind == b"H"
        assert other.rows("select 1") == [[b"1"]]  # there is one server: it is free again
    wait_for(lambda: _counted(pooler, "copy_timeout") == 1, "its end is counted")
    wait_for_balance(pooler, 0)


def test_copy_that_is_read_slowly_goes_on(make_pooler: MakePooler) -> None:
    pooler = _make(make_pooler, proxy_copy_data_timeout=LENIENT)
    with _login(pooler) as reader:
        reader.send(messages.query(MANY_ROWS))
        end = time.monotonic() + LENIENT_S + 1
        scratch = bytearray(1 << 20)
        while time.monotonic() < end:
            reader.skip(len(scratch), scratch)
            pooler.sleep(LENIENT_S / 7)
        reader.skip(10 * len(scratch), scratch)
    assert _counted(pooler, "copy_timeout") == 0


# ---- results that are not read --------------------------------------------------------------


def test_a_result_that_is_not_read_is_ended(make_pooler: MakePooler, io_backend: str) -> None:
    pooler = _make(make_pooler, client_write_timeout=LIMIT, io_backend=io_backend)
    with _login(pooler) as reader, _login(pooler) as other:
        reader.send(messages.query("select repeat('x', 1000) from generate_series(1, 200000)"))
        assert reader.read().kind == b"T"
        assert other.rows("select 1") == [[b"1"]]  # there is one server: it is free again
    wait_for(lambda: _counted(pooler, "write_timeout") == 1, "its end is counted")
    wait_for_balance(pooler, 0)


# ---- query_wait_notify ----------------------------------------------------------------------


@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
def test_who_waits_is_told_once(make_pooler: MakePooler, extended: bool) -> None:
    pooler = _make(make_pooler, query_wait_notify="200ms", query_wait_timeout="1m")
    with _login(pooler) as holder, _login(pooler) as waiter:
        holder.query("begin")
        holder.query("select 1")
        waiter.send(messages.extended("select 2") if extended else messages.query("select 2"))
        notice = waiter.read().fields
        assert (notice["S"], notice["C"]) == ("NOTICE", "01000")
        assert notice["M"] == (
            "No server connection available in postgres backend, client being queued"
        )
        assert waiter.is_silent(1.0)
        holder.query("commit")
        found = waiter.read_until(b"Z")
        assert [each.values for each in found if each.kind == b"D"] == [[b"2"]]
        assert not _complaints(found)
    assert _counted(pooler, "wait_notice") == 1


# ---- below ----------------------------------------------------------------------------------


def _make(make_pooler: MakePooler, database: str = "app", **general: str) -> Pooler:
    return make_pooler(2, pools={database: {"users": [user(pool_size=1)]}}, **general)


def _login(pooler: Pooler, database: str = "app") -> Wire:
    wire = Wire.connect(pooler.host, pooler.port)
    wire.login(database=database)
    return wire


def _complaints(found: list[Message]) -> list[tuple[str, str]]:
    errors = [each.fields for each in found if each.kind in (b"E", b"N")]
    return [(each["S"], each["C"]) for each in errors]


def _counted(pooler: Pooler, what: str, database: str = "app") -> int:
    (row,) = [each for each in pooler.admin("SHOW STATS") if each["database"] == database]
    found: int = row[f"total_{what}_count"]
    return found
