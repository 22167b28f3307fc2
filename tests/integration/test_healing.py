"""Statements that a server lost or that went stale: replaced, and outside a transaction unseen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.messages import (
    bind,
    close,
    describe,
    execute,
    flush,
    parse,
    query,
    sync,
)
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.proxy import Proxy
from tests.integration.harness.wire import Message, Wire

STALE = ["alter table things add column more int default 8"]
LOST = ["do $$ begin execute 'deallocate all'; end $$"]
USE = bind(statement="s") + execute() + sync()


@pytest.fixture
def things(pg: PostgreSQL) -> Iterator[None]:
    pg.sql("create table things as select 7 as one", database="app")
    pg.sql("alter table things owner to app", database="app")
    yield
    pg.sql("drop table things", database="app")


@pytest.fixture
def pooler(make_pooler: MakePooler, things: None) -> Pooler:
    return make_pooler(1, pools={"app": {"users": [user(pool_size=1)]}})


def prepared(pooler: Pooler) -> Wire:
    """Log in and execute a statement named s."""
    wire = Wire.connect(pooler.host, pooler.port)
    wire.login()
    wire.send(parse("select * from things", "s"), USE)
    assert values(wire.read_until(b"Z")) == [[b"7"]]
    return wire


def disturb(pooler: Pooler, texts: list[str]) -> None:
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login()
        for text in texts:
            wire.rows(text)


def values(found: list[Message]) -> list[list[bytes | None]]:
    errors = [each.fields for each in found if each.kind == b"E"]
    assert not errors, errors
    return [each.values for each in found if each.kind == b"D"]


def kinds(found: list[Message]) -> bytes:
    return b"".join(each.kind for each in found)


@pytest.mark.parametrize("texts", [STALE, LOST], ids=["stale", "lost"])
@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (USE, b"2DCZ"),
        (bind(statement="s") + describe() + execute() + sync(), b"2TDCZ"),
        (describe(b"S", "s") + sync(), b"tTZ"),
        (describe(b"S", "s") + USE, b"tT2DCZ"),
        (parse("select 1", "t") + close(b"S", "t") + USE, b"132DCZ"),
        (parse("select 1") + bind() + USE, b"122DCZ"),
        (bind(statement="s") + execute() + bind(statement="s") + execute() + sync(), b"2DC2DCZ"),
    ],
    ids=["use", "describe portal", "describe", "both", "names", "after another", "twice"],
)
def test_client_sees_nothing(
    pooler: Pooler, texts: list[str], request_: bytes, answer: bytes
) -> None:
    with prepared(pooler) as wire:
        disturb(pooler, texts)
        wire.send(request_)
        found = wire.read_until(b"Z")
        assert kinds(found) == answer
        row = [b"7", b"8"] if texts is STALE else [b"7"]
        assert all(each == row for each in values(found))
        wire.send(USE)
        assert values(wire.read_until(b"Z")) == [row]
    wait_for_balance(pooler, 0)


@pytest.mark.parametrize("texts", [STALE, LOST], ids=["stale", "lost"])
def test_first_statement_of_a_deferred_transaction_is_healed(
    pooler: Pooler, texts: list[str]
) -> None:
    with prepared(pooler) as wire:
        disturb(pooler, texts)
        wire.query("begin isolation level repeatable read")
        wire.send(USE)
        found = wire.read_until(b"Z")
        assert (kinds(found), found[-1].body) == (b"2DCZ", b"T")
        assert wire.rows("show transaction_isolation") == [[b"repeatable read"]]
        wire.rows("insert into things values (9)")
        assert wire.query("rollback")[-1].body == b"I"
        assert wire.rows("select count(*) from things") == [[b"1"]]


@pytest.mark.parametrize("texts", [STALE, LOST], ids=["stale", "lost"])
def test_flushed_requests_are_healed(pooler: Pooler, texts: list[str]) -> None:
    with prepared(pooler) as wire:
        disturb(pooler, texts)
        wire.send(bind(statement="s"), flush())
        assert wire.read().kind == b"2"
        wire.send(execute(), sync())
        assert kinds(wire.read_until(b"Z")) == b"DCZ"


@pytest.mark.parametrize("texts", [STALE, LOST], ids=["stale", "lost"])
def test_within_a_transaction_it_is_seen_once(pooler: Pooler, texts: list[str]) -> None:
    with prepared(pooler) as wire:
        if texts is LOST:
            wire.query("begin")
            wire.rows(texts[0])
        else:
            disturb(pooler, texts)
            wire.query("begin")
            wire.rows("select 1")
        wire.send(USE)
        error, ready = wire.read_until(b"Z")
        assert error.fields["C"] == ("26000" if texts is LOST else "0A000")
        assert ready.body == b"E"
        wire.query("rollback")
        for _ in range(2):
            wire.query("begin")
            wire.rows("select 1")
            wire.send(USE)
            assert kinds(wire.read_until(b"Z")) == b"2DCZ"
            wire.query("commit")


def test_pipeline_of_several_segments_keeps_its_order(pooler: Pooler) -> None:
    with prepared(pooler) as wire:
        disturb(pooler, STALE)
        wire.send(USE, query("insert into things values (9)"), USE)
        assert kinds(wire.read_until(b"Z")) == b"EZ"  # what follows it was sent already
        assert kinds(wire.read_until(b"Z")) == b"CZ"
        wire.read_until(b"Z")
        wire.send(USE)
        assert len(values(wire.read_until(b"Z"))) == 2


def test_large_request_is_not_kept(pooler: Pooler) -> None:
    with prepared(pooler) as wire:
        wire.send(parse("select length($1), t.* from things t", "long"), sync())
        wire.read_until(b"Z")
        use = bind([b"x" * 100_000], "long") + execute() + sync()
        wire.send(use)
        assert values(wire.read_until(b"Z")) == [[b"100000", b"7"]]
        disturb(pooler, STALE)
        wire.send(use)
        assert kinds(wire.read_until(b"Z")) == b"EZ"
        wire.send(use)
        assert values(wire.read_until(b"Z")) == [[b"100000", b"7", b"8"]]


def test_replacement_that_fails_is_the_clients_error(pooler: Pooler) -> None:
    with prepared(pooler) as wire:
        disturb(pooler, ["alter table things rename to stuff"])
        wire.send(USE)
        error, ready = wire.read_until(b"Z")
        assert error.fields["C"] == "42P01"
        assert ready.body == b"I"
        wire.query("begin")
        wire.send(USE)
        error, ready = wire.read_until(b"Z")
        assert (error.fields["C"], ready.body) == ("42P01", b"E")
        wire.query("rollback")
        disturb(pooler, ["alter table stuff rename to things"])
        wire.send(USE)
        assert values(wire.read_until(b"Z")) == [[b"7"]]


def test_statement_that_is_there_already(
    make_pooler: MakePooler, pg: PostgreSQL, things: None
) -> None:
    """The server is made to miss a Close, so that a later Parse finds the name in use."""
    missed: list[bytes] = []

    def change(data: bytes) -> bytes:
        at = data.find(b"C\0\0\0\x1dSg")
        if missed or at < 0:
            return data
        missed.append(data[at : at + 30])
        return data[: at + 6] + b"h" + data[at + 7 :]

    with Proxy(pg, change) as proxy:
        pooler = make_pooler(
            1,
            pools={
                "app": {
                    "users": [user(pool_size=1)],
                    "server_port": proxy.port,
                    "server_prepared_statements_cache_size": 1,
                }
            },
        )
        with prepared(pooler) as wire:
            wire.send(parse("select 1", "other"), bind(statement="other"), execute(), sync())
            values(wire.read_until(b"Z"))
            assert missed
            wire.send(USE)
            assert kinds(wire.read_until(b"Z")) == b"2DCZ"
        pooler.stop()


def test_unknown_names_stay_the_clients_error(pooler: Pooler) -> None:
    with prepared(pooler) as wire:
        before = wire.rows("select pg_backend_pid()")
        for request in (bind(statement="nobody"), parse("select 2", "s")):
            wire.send(request, sync())
            error, ready = wire.read_until(b"Z")
            assert error.fields["C"] == ("42P05" if request.startswith(b"P") else "26000")
            assert '"nobody"' in error.fields["M"] or '"s"' in error.fields["M"]
            assert ready.body == b"I"
        assert wire.rows("select pg_backend_pid()") == before
