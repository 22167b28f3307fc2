"""`pooler_check_query`: answered without a server, and with PostgreSQL's own bytes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness import messages
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Message, Wire

pytestmark = ANY_POSTGRESQL

EMPTY = [(b"I", b""), (b"Z", b"I")]


@pytest.fixture
def pooler(make_pooler: MakePooler) -> Pooler:
    """Hide the fixture of that name: one server for all."""
    return make_pooler(2, pools={"app": {"users": [user(pool_size=1)]}}, query_wait_timeout="30s")


@pytest.fixture
def wire(pooler: Pooler) -> Iterator[Wire]:
    with _login(pooler) as found:
        yield found


def _login(pooler: Pooler) -> Wire:
    wire = Wire.connect(pooler.host, pooler.port)
    wire.login()
    return wire


def _told(found: list[Message]) -> list[tuple[bytes, bytes]]:
    return [(each.kind, each.body) for each in found]


def test_it_takes_no_server(pooler: Pooler, wire: Wire) -> None:
    with _login(pooler) as holder:
        holder.query("begin")
        holder.query("select 1")
        for _ in range(3):
            assert _told(wire.query(";")) == EMPTY
        holder.query("commit")


def test_it_is_answered_while_postgresql_is_down(
    pooler: Pooler, wire: Wire, pg: PostgreSQL
) -> None:
    pg.stop()
    assert _told(wire.query(";")) == EMPTY


def test_it_may_come_in_pieces_and_in_a_crowd(wire: Wire) -> None:
    whole = messages.query(";")
    for cut in range(1, len(whole)):
        wire.send(whole[:cut])
        assert wire.is_silent(0.01)
        wire.send(whole[cut:])
        assert _told(wire.read_until(b"Z")) == EMPTY
    wire.send(whole, messages.query("select 1"), whole, messages.extended("select 2"), whole)
    ready = [wire.read_until(b"Z") for _ in range(5)]
    rows = [[each.values for each in part if each.kind == b"D"] for part in ready]
    assert rows == [[], [[b"1"]], [], [[b"2"]], []]


def test_another_text_of_that_length_is_none(wire: Wire) -> None:
    (error, _) = wire.query("x")
    assert error.fields["C"] == "42601"


def test_in_a_transaction_it_is_a_query(wire: Wire) -> None:
    wire.query("begin")
    assert _told(wire.query(";")) == [(b"I", b""), (b"Z", b"T")]
    wire.query("selec")
    assert _told(wire.query(";")) == [(b"I", b""), (b"Z", b"E")]
    wire.query("rollback")
    assert _told(wire.query(";")) == EMPTY


def test_it_ends_the_unnamed_statement(wire: Wire) -> None:
    """As every simple Query does."""
    wire.send(messages.parse("select 1"), messages.sync())
    wire.read_until(b"Z")
    wire.query(";")
    wire.send(messages.bind(), messages.execute(), messages.sync())
    assert wire.read_until(b"Z")[0].fields["C"] == "26000"


def test_it_is_skipped_where_postgresql_skips(pooler: Pooler, wire: Wire) -> None:
    """A batch that was refused is discarded up to its Sync."""
    with _login(pooler) as holder:
        holder.query("begin")
        holder.query("select 1")
        wire.send(messages.parse("select 2"))
        wait_for(lambda: _waiting(pooler) == 1, "it waits")
        with Wire.connect(pooler.host, pooler.port) as cancel:
            cancel.send(messages.cancel_request(wire.backend_key))
            assert cancel.read_to_end() == []
        wire.send(messages.query(";"), messages.sync())
        error, ready = wire.read_until(b"Z")
        assert (error.fields["C"], ready.body) == ("57014", b"I")
        holder.query("commit")
    assert _told(wire.query(";")) == EMPTY


def _waiting(pooler: Pooler) -> int:
    return sum(int(row["cl_waiting"]) for row in pooler.admin("show pools"))


def test_postgresql_is_asked_once_for_a_query_with_rows(make_pooler: MakePooler) -> None:
    pooler = make_pooler(
        2,
        pools={"app": {"users": [user(pool_size=1)]}},
        pooler_check_query="select 'here' as who",
        query_wait_timeout="100ms",
    )
    with _login(pooler) as holder, _login(pooler) as other:
        expected = _told(holder.query("select 'here' as who"))
        assert (b"C", b"SELECT 1\0") in expected

        def is_known() -> bool:
            """Ask while the only server is taken: PostgreSQL's answer, or the wait is refused."""
            holder.query("commit")
            holder.rows("select 1")
            holder.query("begin")
            holder.query("select 1")
            return _told(other.query("select 'here' as who")) == expected

        wait_for(is_known, "it needs no server")
        holder.query("commit")


def test_reload_changes_it(pooler: Pooler, wire: Wire) -> None:
    with _login(pooler) as holder:
        assert pooler.reload(pooler_check_query=" ", query_wait_timeout="50ms").returncode == 0
        holder.query("begin")
        holder.query("select 1")
        assert _told(wire.query(" ")) == EMPTY
        assert wire.query(";")[0].fields["C"] == "53300"
        holder.query("commit")
