"""Statements parsed in a transaction that has changed how texts are read: theirs alone.

Each script is said by two clients, over one server and on direct connections, in either order.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest
from psycopg import pq

from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import Connection, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.sessions.pair import Pair, Session

SELECT = "select *, '01/02/2020'::date as day, timestamptz '2020-01-02 00:00' as midnight from t"
SCHEMA = """
    create schema one; create table one.t (a int, b text); insert into one.t values (1, 'one');
    create table public.t (a text); insert into public.t values ('public');
    grant all on schema one to public; grant select on one.t, public.t to public
"""
CHANGES = {
    "local path": ["begin", "set local search_path = one"],
    "path": ["begin", "set search_path = one"],
    "config": ["begin", "select set_config('search_path', 'one', true)"],
    "hidden": ["begin", "select set_config('search' || '_path', 'one', true)"],
    "do": ["begin", "do $$ begin execute 'set local search_path = one'; end $$"],
    "dates": ["begin", "set local datestyle = 'SQL, DMY'; set local timezone = 'Asia/Tokyo'"],
    "zone": ["begin", "set local time zone 'Asia/Tokyo'"],
    "reset": ["set search_path = one", "begin", "reset search_path"],
    "discard": ["set datestyle = 'SQL, DMY'", "discard all"],
    "savepoint": ["begin", "savepoint a", "set search_path = one", "rollback to a"],
    "role": ["begin", "set local role app_trust"],
}


@pytest.fixture
def pairs(pg: PostgreSQL, database: str, make_pooler: MakePooler) -> Iterator[list[Pair]]:
    """Two clients, each directly and over one server."""
    pg.sql(SCHEMA, database=database)
    pg.sql("grant app_trust to app")
    pooler = make_pooler(2, pools={database: {"users": [user(pool_size=1)]}})
    made = [
        Pair(Session(pg.dsn("app", database)), Session(pooler.dsn("app", database)))
        for _ in range(2)
    ]
    yield made
    for pair in made:
        pair.close()
    pg.sql("revoke app_trust from app")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_statement_of_a_changed_transaction_is_its_own(pairs: list[Pair], change: list[str]):
    # It was taken for that of clients whose session reads the same text differently.
    for shared_first in (False, True):
        for extended in (False, True):
            say_in_turn(pairs, change, shared_first, extended)


def say_in_turn(pairs: list[Pair], change: list[str], shared_first: bool, extended: bool) -> None:
    first, second = pairs
    select = f"{SELECT} /* {shared_first} {extended} */"
    if shared_first:
        second.say(select, extended=True)
    for text in change:
        first.say(text, extended and ";" not in text)
    first.say(select, extended=True)
    first.say(select, extended=True)
    first.say("commit")
    second.say(select, extended=True)
    first.say(select, extended=True)
    first.say("discard all")


DATE = "select '01/02/2020'::date"
SQL_DATES = "set datestyle = 'SQL, DMY'"
PIPELINES = {
    "within": [[SQL_DATES, DATE], [DATE]],
    "undone": [[SQL_DATES, "select 1/0"], [DATE], [DATE]],
    "skipped": [["select 1/0", SQL_DATES], [DATE]],
    "transaction": [["begin", "set local datestyle = 'SQL, DMY'", DATE], ["commit", DATE], [DATE]],
    "savepoint": [["begin", "savepoint a", SQL_DATES], [DATE], ["rollback to a", DATE], ["commit"]],
}


@pytest.mark.parametrize("segments", PIPELINES.values(), ids=PIPELINES)
def test_statement_of_a_pipeline_is_parsed_in_its_place(
    pairs: list[Pair], segments: list[list[str]]
):
    for pair in (*pairs, *pairs):
        heard = pipelined(pair.pooled, segments)
        assert heard == pipelined(pair.direct, segments)
        pair.say(DATE, extended=True)
        for text in ("begin", SQL_DATES, DATE, "rollback", DATE, "discard all"):
            pair.say(text, extended=text != "discard all")


def pipelined(session: Session, segments: list[list[str]]) -> list[tuple[int, bytes | None]]:
    """Send all segments, a Sync behind each, before anything is read; return what comes back."""
    connection = session.connection
    connection.enter_pipeline_mode()
    for segment in segments:
        for text in segment:
            connection.send_query_params(text.encode(), None)
        connection.pipeline_sync()
    told: list[tuple[int, bytes | None]] = []
    syncs = 0
    while syncs < len(segments):
        result = connection.get_result()
        if result is None:
            continue
        syncs += result.status == pq.ExecStatus.PIPELINE_SYNC
        told.append((result.status, result.get_value(0, 0) if result.ntuples else None))
    connection.exit_pipeline_mode()
    return told


def test_statement_that_moves_is_parsed_as_its_client_reads_now(
    pg: PostgreSQL, make_pooler: MakePooler
):
    # On another server it was parsed under its first state's name, and others took it for theirs.
    pooler = make_pooler(1, pools={"app": {"users": [user(pool_size=1)]}})
    with pooler.connect() as first, pooler.connect() as second:
        first.execute("set datestyle = 'SQL, DMY'")
        assert day(first) == datetime.date(2020, 2, 1)
        pg.terminate()
        first.execute("set datestyle = 'SQL, MDY'")
        assert day(first) == datetime.date(2020, 1, 2)
        second.execute("set datestyle = 'SQL, DMY'")
        assert day(second) == datetime.date(2020, 2, 1)


def day(client: Connection) -> datetime.date:
    row = client.execute("select '01/02/2020'::date", prepare=True).fetchone()
    assert row is not None
    made: datetime.date = row[0]
    return made
