"""psycopg2: the simple protocol, SQL-level cursors, COPY, large objects."""

from __future__ import annotations

import io
import random
from contextlib import closing
from typing import Any

import psycopg2
from psycopg2 import errors
from psycopg2.extras import execute_batch, execute_values

from tests.drivers.python import plan
from tests.drivers.python.plan import expect, play, question


def connect(autocommit: bool = True) -> Any:
    connection = psycopg2.connect(plan.DSN)
    connection.autocommit = autocommit
    return connection


def ask(cursor: Any, asked: plan.Question) -> None:
    cursor.execute(asked.text(), asked.parameters)
    expect(cursor.fetchone(), asked.answer)


def clients_ask_at_random() -> None:
    def work(rng: random.Random) -> None:
        with closing(connect()) as connection, connection.cursor() as cursor:
            for _ in range(plan.QUERIES):
                if rng.random() < 0.9:
                    ask(cursor, question(rng))
                    continue
                try:
                    cursor.execute(rng.choice(["select 1 / %s", "selct %s"]), [0])
                except (errors.DivisionByZero, errors.SyntaxError):
                    continue
                raise AssertionError("the query did not fail")

    plan.in_threads(work)


def transactions_commit_and_roll_back() -> None:
    with closing(connect()) as connection, connection.cursor() as cursor:
        cursor.execute("create table accounts (client int primary key, n int)")

    def work(rng: random.Random) -> None:
        client = rng.randrange(1 << 30)
        with closing(connect(autocommit=False)) as connection, connection.cursor() as cursor:
            cursor.execute("insert into accounts values (%s, 0)", [client])
            connection.commit()
            kept = 0
            for _ in range(30):
                cursor.execute("update accounts set n = n + 1 where client = %s", [client])
                if rng.random() < 0.5:
                    connection.commit()
                    kept += 1
                else:
                    connection.rollback()
            cursor.execute("select n from accounts where client = %s", [client])
            expect(cursor.fetchone(), (kept,))

    plan.in_threads(work)


def batches() -> None:
    with closing(connect()) as connection, connection.cursor() as cursor:
        cursor.execute("create table batches (n int)")
        execute_batch(cursor, "insert into batches values (%s)", [(n,) for n in range(500)])
        execute_values(cursor, "insert into batches values %s", [(n,) for n in range(500)])
        cursor.execute("select count(*), sum(n) from batches")
        expect(cursor.fetchone(), (1000, 500 * 499))


def cursors_on_the_server() -> None:
    with closing(connect(autocommit=False)) as connection, connection.cursor("walk") as cursor:
        cursor.itersize = 100
        cursor.execute("select n from generate_series(1, %s) n", [5000])
        expect([row[0] for row in cursor], list(range(1, 5001)))


def copies_both_ways() -> None:
    rows = [f"{n}\trow {n}" for n in range(5000)]
    with closing(connect(autocommit=False)) as connection, connection.cursor() as cursor:
        cursor.execute("create temp table copied (n int, t text) on commit drop")
        cursor.copy_from(io.StringIO("\n".join(rows)), "copied")
        out = io.StringIO()
        cursor.copy_expert("copy (select n, t from copied order by n) to stdout", out)
        expect(out.getvalue().splitlines(), rows)
        connection.rollback()


def large_objects() -> None:
    data = random.Random(plan.SEED).randbytes(plan.BIG)
    with closing(connect(autocommit=False)) as connection:
        written = connection.lobject(0, "wb")
        written.write(data)
        oid = written.oid
        written.close()
        connection.commit()
        read = connection.lobject(oid, "rb")
        expect(read.read(), data)
        read.unlink()
        connection.commit()


def a_large_parameter() -> None:
    with closing(connect()) as connection, connection.cursor() as cursor:
        value = "g" * plan.BIG
        cursor.execute("select %s, length(%s)", [value, value])
        expect(cursor.fetchone(), (value, plan.BIG))


if __name__ == "__main__":
    play(
        clients_ask_at_random,
        transactions_commit_and_roll_back,
        batches,
        cursors_on_the_server,
        copies_both_ways,
        large_objects,
        a_large_parameter,
    )
