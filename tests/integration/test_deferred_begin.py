"""Deferred BEGIN: no server before the first statement, and never a statement without its BEGIN."""

from __future__ import annotations

from itertools import product

import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness import messages
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.proxy import Proxy
from tests.integration.harness.wire import Message, Wire

MODES = (
    "select current_setting('transaction_isolation'), current_setting('transaction_read_only'),"
    " current_setting('transaction_deferrable')"
)
BEGINS = [
    "begin",
    "BEGIN WORK;",
    "/* a /* b */ */ begin -- c\n transaction ; ;",
    "start transaction",
    "begin isolation level repeatable read, read only, deferrable",
    "start transaction read only not deferrable isolation level read uncommitted",
    "begin isolation level repeatable read isolation level read committed",
]
ENDS = ["commit", "END WORK;", "rollback", "abort transaction -- so", "commit work"]


def test_empty_transactions_take_no_server(make_pooler: MakePooler) -> None:
    pooler = _make(make_pooler)
    with _login(pooler) as holder, _login(pooler) as idle:
        holder.query("begin")
        holder.query("select 1")
        for begin, end in zip(BEGINS, [*ENDS, *ENDS], strict=False):
            assert _status(idle.query(begin)) == b"T"
            idle.send(messages.sync())
            assert _status(idle.read_until(b"Z")) == b"T"
            assert _status(idle.query(end)) == b"I"
        assert [row["state"] for row in pooler.admin("show clients")].count("waiting") == 0
        holder.query("commit")
    wait_for_balance(pooler, 0)


def test_every_spelling_is_what_postgresql_says(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = _make(make_pooler)
    for begin, end in product(BEGINS, ENDS):
        texts = (begin, end, begin, MODES, "create temp table t ()", "select 1/0", end, MODES)
        heard = []
        for host, port in ((pg.host, pg.port), (pooler.host, pooler.port)):
            with Wire.connect(host, port) as wire:
                wire.login()
                heard.append([_plain(each) for text in texts for each in wire.query(text)])
        assert heard[1] == heard[0], (begin, end)


def test_statements_run_in_their_transaction(make_pooler: MakePooler) -> None:
    pooler = _make(make_pooler, size=2)
    with _login(pooler) as first, _login(pooler) as second:
        first.query("create table if not exists things (a int)")
        first.query("delete from things")
        for request in (
            messages.query("insert into things values (1)"),
            messages.extended("insert into things values (2)"),
            messages.parse("insert into things values (3)", "s") + messages.sync(),
        ):
            first.query("begin")
            first.send(request)
            assert _status(first.read_until(b"Z")) == b"T"
            assert second.rows("select count(*) from things") == [[b"0"]]
            assert first.query("rollback")[0].body == b"ROLLBACK\0"
        first.query("begin")
        first.query("insert into things values (4)")
        assert _status(first.query("commit")) == b"I"
        assert second.rows("select a from things") == [[b"4"]]
        second.query("drop table things")


def test_pipelined_begin(make_pooler: MakePooler) -> None:
    pooler = _make(make_pooler)
    texts = ("begin", "select 1", "select 2", "commit", "begin", "rollback", "select 3")
    with _login(pooler) as wire:
        wire.send(*[messages.query(text) for text in texts])
        status = [_status(wire.read_until(b"Z")) for _ in texts]
        assert b"".join(status) == b"TTTITII"


@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
def test_no_server_in_time_fails_the_transaction(make_pooler: MakePooler, extended: bool) -> None:
    pooler = _make(make_pooler, query_wait_timeout="200ms")
    insert = "insert into nowhere values (1)"
    request = messages.extended(insert) if extended else messages.query(insert)
    with _login(pooler) as holder, _login(pooler) as waiter:
        holder.query("begin")
        holder.query("select 1")
        waiter.query("begin")
        waiter.send(request)
        error, ready = waiter.read_until(b"Z")
        assert (error.fields["C"], ready.body) == ("53300", b"E")
        waiter.send(messages.sync())
        assert _status(waiter.read_until(b"Z")) == b"E"
        holder.query("commit")
        # What follows must fail as well: it belongs to the same transaction.
        waiter.send(request)
        *_, error, ready = waiter.read_until(b"Z")
        assert (error.fields["C"], ready.body) == ("25P02", b"E")
        assert waiter.query("commit")[0].body == b"ROLLBACK\0"
        assert waiter.rows("select 1") == [[b"1"]]
        waiter.query("begin")
        assert waiter.rows("select 2") == [[b"2"]]
        waiter.query("commit")
        holder.query("begin")
        holder.query("select 1")
        waiter.query("begin")
        waiter.send(request)
        assert _status(waiter.read_until(b"Z")) == b"E"
        assert waiter.query("rollback")[0].body == b"ROLLBACK\0"
        holder.query("commit")
    wait_for_balance(pooler, 0)


REQUESTS = {
    "simple": (messages.query("create table leaked (a int)"), 1),
    "extended": (messages.extended("create table leaked (a int)"), 1),
    "two": (messages.query("create table leaked (a int)") + messages.query("select 1"), 2),
    "mixed": (
        messages.extended("create table leaked (a int)")
        + messages.query("create table leaked (a int)"),
        2,
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("statements", [True, False], ids=["exchanged", "untouched"])
def test_refused_begin_lets_nothing_run(
    make_pooler: MakePooler, pg: PostgreSQL, name: str, statements: bool
) -> None:
    request, replies = REQUESTS[name]
    with Proxy(pg, lambda data: data.replace(b"\0BEGIN\0", b"\0BEGIM\0")) as proxy:
        pooler = _make(make_pooler, server_port=proxy.port, prepared_statements=statements)
        with _login(pooler) as wire:
            wire.query("begin")
            wire.send(request)
            for number in range(replies):
                *_, error, ready = wire.read_until(b"Z")
                assert error.fields["C"] == ("25P02" if number else "42601")
                assert ready.body == b"E"
            assert wire.query("rollback")[0].body == b"ROLLBACK\0"
            assert wire.rows("select to_regclass('leaked')") == [[None]]
        wait_for_balance(pooler, 0)
        pooler.stop()


def test_refused_begin_of_flushed_requests(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    with Proxy(pg, lambda data: data.replace(b"\0BEGIN\0", b"\0BEGIM\0")) as proxy:
        pooler = _make(make_pooler, server_port=proxy.port)
        with _login(pooler) as wire:
            wire.query("begin")
            wire.send(messages.parse("create table leaked (a int)"), messages.flush())
            assert wire.read_until(b"E")[-1].fields["C"] == "42601"
            wire.send(messages.bind(), messages.execute(), messages.sync())
            assert [each.kind + each.body for each in wire.read_until(b"Z")] == [b"ZE"]
            assert wire.query("commit")[0].body == b"ROLLBACK\0"
            assert wire.rows("select to_regclass('leaked')") == [[None]]
        pooler.stop()


def test_client_that_vanishes_behind_its_begin(make_pooler: MakePooler) -> None:
    pooler = _make(make_pooler)
    with _login(pooler) as wire:
        wire.send(messages.query("begin"), messages.query("select pg_sleep(20)"))
    with _login(pooler) as wire:
        wire.query("begin")
    with _login(pooler) as wire:
        assert wire.rows("select 1") == [[b"1"]]
    wait_for_balance(pooler, 0)


@pytest.mark.parametrize(("key", "value"), [("deferred_begin", False), ("pool_mode", "session")])
def test_begin_that_is_not_deferred_takes_a_server(
    make_pooler: MakePooler, key: str, value: object
) -> None:
    pooler = make_pooler(1, pools={"app": {"users": [user(pool_size=1)], key: value}})
    with _login(pooler) as wire:
        wire.query("begin")
        assert [row["state"] for row in pooler.admin("show servers")] == ["active"]


@pytest.mark.parametrize("where", ["idle", "begun", "linked", "failed"])
def test_deallocate_of_a_statement_of_the_protocol(
    make_pooler: MakePooler, pg: PostgreSQL, where: str
) -> None:
    before = {"idle": [], "begun": ["begin"], "linked": ["begin", "select 1"]}.get(
        where, ["begin", "select 1/0"]
    )
    after = ["rollback"] if before else []
    pooler = _make(make_pooler)
    heard = []
    for host, port in ((pooler.host, pooler.port), (pg.host, pg.port)):
        with Wire.connect(host, port) as wire:
            wire.login()
            wire.send(messages.parse("select 7", "Mine"), messages.sync())
            found = wire.read_until(b"Z")
            for text in (*before, 'deallocate "Mine"', *after, "select 1"):
                found += wire.query(text)
            wire.send(messages.bind(statement="Mine"), messages.execute(), messages.sync())
            heard.append(found + wire.read_until(b"Z"))
    assert [_plain(each) for each in heard[0]] == [_plain(each) for each in heard[1]]


def _plain(message: Message) -> object:
    if message.kind != b"E":
        return message
    return {key: message.fields[key] for key in "CMS"}


def _make(make_pooler: MakePooler, size: int = 1, **settings: object) -> Pooler:
    return make_pooler(1, pools={"app": {"users": [user(pool_size=size)], **settings}})


def _login(pooler: Pooler) -> Wire:
    wire = Wire.connect(pooler.host, pooler.port)
    wire.login()
    return wire


def _status(found: list[Message]) -> bytes:
    return found[-1].body
