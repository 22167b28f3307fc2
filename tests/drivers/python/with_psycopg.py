"""psycopg 3 in threads: statements prepared at the first use, pipelines, cursors, COPY."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import errors

from tests.drivers.python import plan
from tests.drivers.python.plan import expect, play, question

Connection = psycopg.Connection[tuple[Any, ...]]
BROKEN = (errors.DivisionByZero, psycopg.errors.PipelineAborted)


def connect(autocommit: bool = True, prepared_max: int = 100) -> Connection:
    connection = psycopg.connect(plan.DSN, autocommit=autocommit, prepare_threshold=0)
    connection.prepared_max = prepared_max
    return connection


def ask(connection: Connection, asked: plan.Question) -> None:
    cursor = connection.execute(asked.text().encode(), asked.parameters)
    expect(cursor.fetchone(), asked.answer)


def ask_anything(connection: Connection, rng: random.Random) -> None:
    ask(connection, question(rng))


def fail(connection: Connection, rng: random.Random) -> None:
    """Provoke an error that the next query must not feel."""
    if rng.random() < 0.5:
        with_error(connection, "select 1 / cast(%s as int)", [0], errors.DivisionByZero)
    else:
        with_error(connection, f"selct {rng.randrange(10)}", [], errors.SyntaxError)


def with_error(
    connection: Connection, text: str, parameters: list[object], kind: type[psycopg.Error]
) -> None:
    try:
        connection.execute(text.encode(), parameters)
    except kind:
        return
    raise AssertionError(f"{text} did not fail")


def transact(connection: Connection, rng: random.Random) -> None:
    """Ask several questions of one server, with an error in a savepoint between them."""
    with connection.transaction():
        first = connection.execute("select pg_backend_pid()").fetchone()
        ask(connection, question(rng))
        try:
            with connection.transaction():
                connection.execute("select 1 / cast(%s as int)", [0])
        except errors.DivisionByZero:
            ask(connection, question(rng))
        expect(connection.execute("select pg_backend_pid()").fetchone(), first)


def clients_ask_at_random() -> None:
    def work(rng: random.Random) -> None:
        with connect(prepared_max=30) as connection:
            for _ in range(plan.QUERIES):
                act = rng.choices([ask_anything, fail, transact], [80, 10, 10])[0]
                act(connection, rng)

    plan.in_threads(work)


def one_name_means_different_texts() -> None:
    """psycopg calls the first statement of every connection _pg3_0."""
    connections = [connect() for _ in range(plan.CLIENTS)]
    for _ in range(3):
        for number, connection in enumerate(connections):
            ask(connection, plan.Question(1000 + number, 1, "x"))
    for connection in connections:
        connection.close()


def statements_are_deallocated() -> None:
    """A cache of five lets psycopg close what it prepared, sixty times."""
    rng = random.Random(plan.SEED)
    with connect(prepared_max=5) as connection:
        for number in [*range(40), *range(40)]:
            ask(connection, question(rng, number))
        connection.prepared_max = 100
        for number in range(40):
            ask(connection, question(rng, number))
        connection.execute("deallocate all")
        connection.execute("discard all")
        ask(connection, question(rng))


def pipelines_of_hundreds() -> None:
    rng = random.Random(plan.SEED)
    with connect() as connection:
        for _ in range(3):
            questions = [question(rng) for _ in range(plan.BATCH)]
            with connection.pipeline():
                cursors = [connection.execute(q.text().encode(), q.parameters) for q in questions]
            expect([each.fetchone() for each in cursors], [q.answer for q in questions])
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("create table batches (client int, n int)")
            cursor.executemany("insert into batches values (0, %s)", [(n,) for n in range(500)])
        counted = connection.execute("select count(*), sum(n) from batches").fetchone()
        expect(counted, (500, 500 * 499 // 2))


def an_error_breaks_its_pipeline_only() -> None:
    rng = random.Random(plan.SEED)
    with connect() as connection:
        for position in (0, 7, 50):
            questions = [question(rng) for _ in range(60)]
            before, after = questions[:position], questions[position:]
            try:
                with connection.pipeline() as pipeline:
                    kept = [connection.execute(q.text().encode(), q.parameters) for q in before]
                    pipeline.sync()
                    connection.execute("select 1 / cast(%s as int)", [0])
                    for q in after:
                        connection.execute(q.text().encode(), q.parameters)
            except errors.DivisionByZero:
                expect([each.fetchone() for each in kept], [q.answer for q in before])
            else:
                raise AssertionError("the pipeline did not fail")
            for q in questions:
                ask(connection, q)


def errors_among_many_texts_in_pipelines() -> None:
    """What is evicted, parsed and skipped depends on errors that are still on their way."""

    def work(rng: random.Random) -> None:
        with connect(prepared_max=1000) as connection:
            with suppress(*BROKEN), connection.pipeline() as pipeline:
                for _ in range(50):
                    with suppress(*BROKEN):  # psycopg may tell of an earlier division here
                        _send_some(connection, rng)
                    with suppress(*BROKEN):
                        pipeline.sync()
            for _ in range(20):
                ask(connection, question(rng, rng.randrange(150)))

    plan.in_threads(work)


def _send_some(connection: Connection, rng: random.Random) -> None:
    for _ in range(rng.randrange(1, 6)):
        if rng.random() < 0.15:
            connection.execute("select 1 / cast(%s as int)", [0])
        asked = question(rng, rng.randrange(150))
        connection.execute(asked.text().encode(), asked.parameters)


def cursors_on_the_server() -> None:
    with connect(autocommit=False) as connection:
        with connection.cursor(name="walk") as cursor:
            cursor.execute("select n from generate_series(1, %s) n", [5000])
            expect(len(cursor.fetchmany(10)), 10)
            ask(connection, plan.Question(1, 1, "between"))
            expect([row[0] for row in cursor], list(range(11, 5001)))
        connection.commit()


def copies_both_ways() -> None:
    with connect(autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("create temp table copied (n int, t text) on commit drop")
        with cursor.copy("copy copied from stdin") as copy:
            for n in range(5000):
                copy.write_row((n, f"row {n}"))
        with cursor.copy("copy (select n, t from copied order by n) to stdout") as copy:
            copy.set_types(["int4", "text"])
            expect(list(copy.rows()), [(n, f"row {n}") for n in range(5000)])
        try:
            with cursor.copy("copy copied from stdin") as copy:
                copy.write(b"not a number\n")
        except errors.InvalidTextRepresentation:
            connection.rollback()
        else:
            raise AssertionError("the COPY did not fail")
        ask(connection, plan.Question(1, 1, "after COPY"))


def settings_follow_their_client() -> None:
    def work(rng: random.Random) -> None:
        megabytes = rng.randrange(100, 200)
        with connect() as connection:
            connection.execute("select set_config('work_mem', %s, false)", [f"{megabytes}MB"])
            for _ in range(20):
                ask_anything(connection, rng)
                row = connection.execute("select current_setting('work_mem')").fetchone()
                expect(row, (f"{megabytes}MB",))

    plan.in_threads(work)


def long_queries_are_cancelled() -> None:
    """A request that comes before its query runs is without effect: so again and again."""

    def work(rng: random.Random) -> None:
        with connect() as connection:
            over = threading.Event()

            def cancel() -> None:
                while not over.wait(0.05):
                    connection.cancel()

            canceller = threading.Thread(target=cancel)
            canceller.start()
            with_error(connection, "select pg_sleep(600)", [], errors.QueryCanceled)
            over.set()
            canceller.join()
        with connect() as connection:
            ask_anything(connection, rng)

    plan.in_threads(work)


def a_large_parameter() -> None:
    with connect() as connection:
        for value in ("g" * plan.BIG, b"\x00\xff" * (plan.BIG // 2)):
            row = connection.execute("select %s, length(%s)", [value, value]).fetchone()
            expect(row, (value, plan.BIG))


def more_texts_than_a_server_holds() -> None:
    def work(rng: random.Random) -> None:
        with connect(prepared_max=10_000) as connection:
            numbers = list(range(plan.DISTINCT // plan.CLIENTS * 2))
            rng.shuffle(numbers)
            for number in numbers:
                ask(connection, question(rng, number))
            for number in rng.sample(numbers, 50):
                ask(connection, question(rng, number))

    plan.in_threads(work)


if __name__ == "__main__":
    play(
        clients_ask_at_random,
        one_name_means_different_texts,
        statements_are_deallocated,
        pipelines_of_hundreds,
        an_error_breaks_its_pipeline_only,
        errors_among_many_texts_in_pipelines,
        cursors_on_the_server,
        copies_both_ways,
        settings_follow_their_client,
        long_queries_are_cancelled,
        a_large_parameter,
        more_texts_than_a_server_holds,
    )
