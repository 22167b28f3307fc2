"""psqlODBC under pyodbc: its own savepoint around each statement, prepared or not, and fetched by
cursors or not, as data sources are configured.

Run by the system's Python, which needs nothing but pyodbc.
"""

from __future__ import annotations

import random
import threading
import time
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pyodbc

from tests.drivers.python import plan
from tests.drivers.python.plan import expect, play, question

QUERY_CANCELED = "57014"
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"UseServerSidePrepare": 0},
    {"UseDeclareFetch": 1, "Fetch": 100},
    {"Protocol": "7.4-0"},  # an error aborts the transaction
    {"Protocol": "7.4-1"},  # an error rolls the transaction back
    {"Protocol": "7.4-2"},  # an error rolls its statement back
)


def connect(autocommit: bool = True, **options: object) -> Any:
    at = urlsplit(plan.DSN)
    words = {
        **{"Driver": "{PostgreSQL Unicode}", "Server": at.hostname, "Port": at.port},
        **{"Database": at.path[1:], "Uid": at.username, "Pwd": at.password},
        **{"BoolsAsChar": 0, "MaxLongVarcharSize": 4 * plan.BIG, **options},
    }
    text = ";".join(f"{name}={value}" for name, value in words.items())
    return pyodbc.connect(text, autocommit=autocommit)


def ask(cursor: Any, asked: plan.Question) -> None:
    cursor.execute(asked.text("?", "?"), *asked.parameters)
    expect([tuple(row) for row in cursor.fetchall()], [asked.answer])


def fail(cursor: Any, text: str, sqlstate: str) -> None:
    try:
        cursor.execute(text)
    except pyodbc.Error as exc:
        expect(exc.args[0], sqlstate)
    else:
        raise AssertionError(f"{text} did not fail")


def fail_somehow(cursor: Any, rng: random.Random) -> None:
    if rng.random() < 0.5:
        fail(cursor, "select 1 / 0", plan.DIVISION_BY_ZERO)
    else:
        fail(cursor, "selct 1", plan.SYNTAX_ERROR)


def clients_ask_at_random() -> None:
    def work(rng: random.Random) -> None:
        with closing(connect(**rng.choice(OPTIONS))) as connection:
            cursor = connection.cursor()
            for _ in range(plan.QUERIES):
                if rng.random() < 0.9:
                    ask(cursor, question(rng))
                else:
                    fail_somehow(cursor, rng)

    plan.in_threads(work)


def transactions_commit_and_roll_back() -> None:
    with closing(connect()) as connection:
        connection.execute("create table accounts (client int primary key, n int)")

    def work(rng: random.Random) -> None:
        client = rng.randrange(1 << 30)
        with closing(connect(autocommit=False, **rng.choice(OPTIONS))) as connection:
            cursor = connection.cursor()
            cursor.execute("insert into accounts values (?, 0)", client)
            connection.commit()
            kept = 0
            for _ in range(20):
                cursor.execute("update accounts set n = n + 1 where client = ?", client)
                expect(cursor.rowcount, 1)
                ask(cursor, question(rng))
                if rng.random() < 0.5:
                    connection.commit()
                    kept += 1
                else:
                    connection.rollback()
            cursor.execute("select n from accounts where client = ?", client)
            expect(tuple(cursor.fetchone()), (kept,))
            connection.commit()

    plan.in_threads(work)


def an_error_takes_back_its_statement_only() -> None:
    """The driver sets a savepoint before each statement of a transaction.

    It does so in the same text: where that is no SQL, the transaction is lost, savepoint and all.
    """

    def work(rng: random.Random) -> None:
        with closing(connect(autocommit=False, Protocol="7.4-2")) as connection:
            cursor = connection.cursor()
            for _ in range(10):
                first = cursor.execute("select pg_backend_pid()").fetchone()[0]
                fail(cursor, "select 1 / 0", plan.DIVISION_BY_ZERO)
                ask(cursor, question(rng))
                expect(cursor.execute("select pg_backend_pid()").fetchone()[0], first)
                connection.commit()

    plan.in_threads(work)


def settings_follow_their_client() -> None:
    def work(rng: random.Random) -> None:
        megabytes = rng.randrange(100, 200)
        with closing(connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(f"set work_mem = '{megabytes}MB'")
            for _ in range(20):
                ask(cursor, question(rng))
                expect(cursor.execute("show work_mem").fetchone()[0], f"{megabytes}MB")

    plan.in_threads(work)


def batches() -> None:
    rows = [(n, f"row {n}") for n in range(plan.BATCH)]
    for fast in (False, True):
        with closing(connect(autocommit=False)) as connection:
            cursor = connection.cursor()
            cursor.execute("create temp table batches (n int, t varchar(20)) on commit drop")
            cursor.fast_executemany = fast
            cursor.executemany("insert into batches values (?, ?)", rows)
            found = cursor.execute("select n, t from batches order by n").fetchall()
            expect([tuple(row) for row in found], rows)
            connection.rollback()


def cursors_on_the_server() -> None:
    with closing(connect(autocommit=False, UseDeclareFetch=1, Fetch=100)) as connection:
        cursor = connection.execute("select n from generate_series(1, 5000) n")
        expect([row[0] for row in cursor], list(range(1, 5001)))
        connection.commit()


def long_queries_are_cancelled() -> None:
    """SQLCancel from another thread; before the query runs it is without effect."""

    def work(rng: random.Random) -> None:
        with closing(connect()) as connection:
            cursor = connection.cursor()
            over = threading.Event()

            def cancel() -> None:
                while not over.wait(0.05):
                    cursor.cancel()

            canceller = threading.Thread(target=cancel)
            canceller.start()
            began = time.monotonic()
            fail(cursor, "select pg_sleep(600)", QUERY_CANCELED)
            over.set()
            canceller.join()
            expect(time.monotonic() - began < 60, True)
        with closing(connect()) as connection:
            ask(connection.cursor(), question(rng))

    plan.in_threads(work)


def a_large_parameter() -> None:
    with closing(connect()) as connection:
        value = "g" * plan.BIG
        row = connection.execute("select cast(? as text), length(?)", value, value).fetchone()
        expect(tuple(row), (value, plan.BIG))


def more_texts_than_a_server_holds() -> None:
    def work(rng: random.Random) -> None:
        with closing(connect()) as connection:
            texts = plan.DISTINCT // plan.CLIENTS
            cursors = [connection.cursor() for _ in range(texts)]
            for number, cursor in enumerate(cursors):
                ask(cursor, question(rng, number))
            for number in rng.sample(range(texts), 100):
                ask(cursors[number], question(rng, number))

    plan.in_threads(work)


if __name__ == "__main__":
    play(
        clients_ask_at_random,
        transactions_commit_and_roll_back,
        an_error_takes_back_its_statement_only,
        settings_follow_their_client,
        batches,
        cursors_on_the_server,
        long_queries_are_cancelled,
        a_large_parameter,
        more_texts_than_a_server_holds,
    )
