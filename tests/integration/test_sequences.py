"""currval() and lastval() in transaction mode: the client's own value, or PostgreSQL's error."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import Connection, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for

NotYet = psycopg.errors.ObjectNotInPrerequisiteState
TEXTS = ("select lastval()", "select currval('notes_id_seq')")


@pytest.fixture
def notes(pg: PostgreSQL, database: str) -> str:
    """Make a table that numbers its rows; return its database."""
    with pg.connect("app", database) as connection:
        connection.execute("create table notes (id serial, a int)")
    return database


def make(make_pooler: MakePooler, database: str, size: int, **settings: Any) -> Pooler:
    pools = {database: {"query_wait_timeout": "10s", **settings, "users": [user(pool_size=size)]}}
    return make_pooler(workers=2, pools=pools)


def value(client: Connection, query: str, *, prepare: bool = False) -> int:
    row = client.execute(query.encode(), prepare=prepare).fetchone()
    assert row is not None
    return int(row[0])


def pins(pooler: Pooler) -> list[str]:
    return [row["pinned"] for row in pooler.admin("SHOW CLIENTS") if row["user"] == "app"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("session_state", ["track", "reset"])
def test_value_of_another_is_never_told(
    notes: str, make_pooler: MakePooler, text: str, prepare: bool, session_state: str
):
    pooler = make(make_pooler, notes, 1, session_state=session_state)
    first, second = (pooler.connect(database=notes) for _ in range(2))
    first.execute("insert into notes (a) values (1)")
    for _ in range(2):  # the first one to ask, and one after that
        with pytest.raises(NotYet):
            value(second, text, prepare=prepare)
    first.close()
    second.close()


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("prepare", [False, True])
def test_own_value_is_told_in_the_next_transaction(
    notes: str, make_pooler: MakePooler, text: str, prepare: bool
):
    pooler = make(make_pooler, notes, 2)
    first, second = (pooler.connect(database=notes) for _ in range(2))
    with pytest.raises(NotYet):
        value(first, text)  # from here on greenpool knows that somebody asks
    for number in range(1, 9):
        client = (first, second)[number % 2]
        client.execute("insert into notes (a) values (1)", prepare=prepare)
        assert value(client, text, prepare=prepare) == number
        assert value(client, "select 5") == 5
        assert value(client, text, prepare=prepare) == number
    first.close()
    second.close()


@pytest.mark.parametrize("end", ["discard sequences", "discard all", None])
def test_client_keeps_its_server_until_its_values_are_gone(
    notes: str, make_pooler: MakePooler, end: str | None
):
    pooler = make(make_pooler, notes, 1)
    first, second = (pooler.connect(database=notes) for _ in range(2))
    with pytest.raises(NotYet):
        value(first, TEXTS[0])
    assert value(first, "select nextval('notes_id_seq')") == 1
    wait_for(lambda: sorted(pins(pooler)) == ["", "sequence"], "the first client's pin")
    if end is None:
        first.close()
    else:
        first.execute(end.encode())
    with pytest.raises(NotYet):
        value(second, TEXTS[0])
    first.close()
    second.close()


def test_transaction_that_asks_itself_is_its_own(notes: str, make_pooler: MakePooler):
    pooler = make(make_pooler, notes, 1)
    first, second = (pooler.connect(database=notes) for _ in range(2))
    for number, client in enumerate((first, second, first), 1):
        with client.transaction():
            client.execute("insert into notes (a) values (1)")
            assert value(client, TEXTS[0]) == number
        client.execute("discard sequences")
    first.close()
    second.close()


def test_pool_where_nobody_asks_pins_nobody(notes: str, make_pooler: MakePooler):
    pooler = make(make_pooler, notes, 1)
    first, second = (pooler.connect(database=notes) for _ in range(2))
    for client in (first, second, first):
        client.execute("insert into notes (a) values (nextval('notes_id_seq'))")
    assert set(pins(pooler)) == {""}
    first.close()
    second.close()
