"""pg8000: every query is a Parse and a Bind, named only when the program prepares it."""

from __future__ import annotations

import random
from contextlib import closing
from typing import Any

import pg8000.dbapi
import pg8000.native
from psycopg.conninfo import conninfo_to_dict

from tests.drivers.python import plan
from tests.drivers.python.plan import expect, play, question


def _address() -> dict[str, Any]:
    parts = conninfo_to_dict(plan.DSN)
    names = {"user": "user", "password": "password", "host": "host", "dbname": "database"}
    return {"port": int(str(parts["port"])), **{new: parts[old] for old, new in names.items()}}


def connect(autocommit: bool = True) -> Any:
    connection = pg8000.dbapi.connect(**_address())
    connection.autocommit = autocommit
    return connection


def native() -> Any:
    return pg8000.native.Connection(**_address())


def ask(cursor: Any, asked: plan.Question) -> None:
    cursor.execute(asked.text(), asked.parameters)
    expect(tuple(cursor.fetchone()), asked.answer)


def fail(cursor: Any, text: str, sqlstate: str) -> None:
    try:
        cursor.execute(text, (0,))
    except pg8000.dbapi.ProgrammingError as exc:
        expect(exc.args[0]["C"], sqlstate)
    except pg8000.dbapi.DatabaseError as exc:
        expect(exc.args[0]["C"], sqlstate)
    else:
        raise AssertionError(f"{text} did not fail")


def clients_ask_at_random() -> None:
    def work(rng: random.Random) -> None:
        with closing(connect()) as connection:
            cursor = connection.cursor()
            for _ in range(plan.QUERIES):
                chance = rng.random()
                if chance < 0.9:
                    ask(cursor, question(rng))
                elif chance < 0.95:
                    fail(cursor, "select 1 / cast(%s as int)", plan.DIVISION_BY_ZERO)
                else:
                    fail(cursor, "selct %s", plan.SYNTAX_ERROR)

    plan.in_threads(work)


def transactions_commit_and_roll_back() -> None:
    with closing(connect()) as connection:
        connection.cursor().execute("create table accounts (client int primary key, n int)")

    def work(rng: random.Random) -> None:
        client = rng.randrange(1 << 30)
        with closing(connect(autocommit=False)) as connection:
            cursor = connection.cursor()
            cursor.execute("insert into accounts values (%s, 0)", (client,))
            connection.commit()
            kept = 0
            for _ in range(20):
                cursor.execute("update accounts set n = n + 1 where client = %s", (client,))
                if rng.random() < 0.5:
                    connection.commit()
                    kept += 1
                else:
                    connection.rollback()
            cursor.execute("select n from accounts where client = %s", (client,))
            expect(tuple(cursor.fetchone()), (kept,))

    plan.in_threads(work)


def statements_are_prepared_and_closed() -> None:
    """pg8000 numbers its statements for each connection: one name, different texts."""

    def work(rng: random.Random) -> None:
        with closing(native()) as connection:
            for _ in range(5):
                number = rng.randrange(1000)
                statements = [
                    connection.prepare(question(rng, number + each).text(":a", ":b"))
                    for each in range(5)
                ]
                for _ in range(20):
                    which = rng.randrange(5)
                    asked = question(rng, number + which)
                    rows = statements[which].run(a=asked.value, b=asked.word)
                    expect([tuple(row) for row in rows], [asked.answer])
                for statement in statements:
                    statement.close()

    plan.in_threads(work)


def batches() -> None:
    with closing(connect(autocommit=False)) as connection:
        cursor = connection.cursor()
        cursor.execute("create temp table batches (n int) on commit drop")
        cursor.executemany("insert into batches values (%s)", [(n,) for n in range(plan.BATCH)])
        cursor.execute("select count(*), sum(n) from batches")
        expect(tuple(cursor.fetchone()), (plan.BATCH, plan.BATCH * (plan.BATCH - 1) // 2))
        connection.rollback()


def copies_both_ways() -> None:
    rows = [f"{n}\trow {n}\n".encode() for n in range(5000)]
    with closing(native()) as connection:
        connection.run("begin")
        connection.run("create temp table copied (n int, t text) on commit drop")
        connection.run("copy copied from stdin", stream=iter(rows))
        got: list[bytes] = []
        connection.run("copy (select n, t from copied order by n) to stdout", stream=_Sink(got))
        expect(b"".join(got), b"".join(rows))
        connection.run("rollback")


class _Sink:
    """What pg8000 writes to, kept."""

    def __init__(self, kept: list[bytes]) -> None:
        self.write = kept.append


def a_large_parameter() -> None:
    with closing(connect()) as connection:
        cursor = connection.cursor()
        for kind, value in (("text", "g" * plan.BIG), ("bytea", b"\x00\xff" * (plan.BIG // 2))):
            asked = f"select cast(%s as {kind}), length(cast(%s as {kind}))"
            cursor.execute(asked, (value, value))
            expect(tuple(cursor.fetchone()), (value, plan.BIG))


def more_texts_than_a_server_holds() -> None:
    def work(rng: random.Random) -> None:
        with closing(native()) as connection:
            numbers = list(range(plan.DISTINCT // plan.CLIENTS))
            rng.shuffle(numbers)
            statements = {
                number: connection.prepare(question(rng, number).text(":a", ":b"))
                for number in numbers
            }
            for number in rng.sample(numbers, 100):
                asked = question(rng, number)
                rows = statements[number].run(a=asked.value, b=asked.word)
                expect([tuple(row) for row in rows], [asked.answer])

    plan.in_threads(work)


if __name__ == "__main__":
    play(
        clients_ask_at_random,
        transactions_commit_and_roll_back,
        statements_are_prepared_and_closed,
        batches,
        copies_both_ways,
        a_large_parameter,
        more_texts_than_a_server_holds,
    )
