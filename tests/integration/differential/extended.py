"""Conversations in the extended protocol: statements, portals, Flush, and errors in each."""

from __future__ import annotations

from tests.integration.differential.script import Script, ready, say, say_slowly, take, until
from tests.integration.harness.messages import (
    bind,
    close,
    describe,
    execute,
    extended,
    flush,
    function_call,
    parse,
    query,
    sync,
)

_ABS = 1397
_ROWS = "select a from t order by a"

REQUESTS = [
    Script("unnamed round", [say(extended("select $1::int + 1", [b"41"])), ready()]),
    Script("rows", [say(extended(_ROWS)), ready()]),
    Script("empty statement", [say(extended("")), ready()]),
    Script("utility statement", [say(extended("set local work_mem = '1MB'")), ready()]),
    Script("null parameter", [say(extended("select $1::text is null", [None])), ready()]),
    Script(
        "declared types",
        [say(parse("select $1, $2", "", [23, 25]), describe(b"S"), sync()), ready()],
    ),
    Script(
        "describe statement",
        [say(parse("select $1::int, $2::text"), describe(b"S"), sync()), ready()],
    ),
    Script(
        "describe statement without rows",
        [say(parse("delete from t"), describe(b"S"), sync()), ready()],
    ),
    Script("describe portal", [say(parse(_ROWS), bind(), describe(), sync()), ready()]),
    Script("only Parse and Sync", [say(parse("select 1"), sync()), ready()]),
    Script(
        "two executes", [say(parse(_ROWS), bind(), execute(), bind(), execute(), sync()), ready()]
    ),
    Script(
        "execute a finished portal again",
        [say(parse(_ROWS), bind(), execute(), execute(), sync()), ready()],
    ),
    Script(
        "insert with parameter",
        [say(extended("insert into t values ($1::int) returning *", [b"8"])), ready()],
    ),
    Script("byte by byte", [say_slowly(extended("select $1::text", [b"slow"])), ready()]),
    Script(
        "rounds in flight",
        [say(*[extended("select $1::int", [b"%d" % n]) for n in range(50)]), ready(50)],
    ),
    Script("large parameter", [say(extended("select length($1)", [b"p" * 2000000])), ready()]),
    Script("large result", [say(extended("select repeat('r', $1::int)", [b"2000000"])), ready()]),
    Script("notice", [say(extended("select remark($1)", [b"hello"])), ready()]),
    Script("call with output", [say(extended("call commits($1)", [b"5"])), ready()]),
    Script("explain", [say(extended("explain (costs off) select 1")), ready()]),
    Script(
        "named in a transaction",
        [
            say(query("begin"), parse("select $1::int * 2", "twice"), sync()),
            ready(2),
            say(bind([b"4"], "twice"), execute(), bind([b"5"], "twice"), execute(), sync()),
            ready(),
            say(close(b"S", "twice"), sync(), query("commit")),
            ready(2),
        ],
    ),
    Script(
        "unnamed kept in a transaction",
        [
            say(query("begin"), parse("select $1::int * 3"), sync()),
            ready(2),
            say(bind([b"4"]), execute(), sync()),
            ready(),
            say(bind([b"5"]), execute(), sync()),
            ready(),
            say(query("commit")),
            ready(),
        ],
    ),
    Script(
        "simple query destroys the unnamed",
        [
            say(
                query("begin"),
                parse("select 1"),
                sync(),
                query("select 2"),
                bind(),
                execute(),
                sync(),
            ),
            ready(4),
            say(query("rollback")),
            ready(),
        ],
    ),
    Script(
        "transaction by extended",
        [say(extended("begin"), extended("delete from t"), extended("rollback")), ready(3)],
    ),
    Script(
        "transaction in one batch",
        [
            say(
                *[
                    x
                    for sql in ("begin", "select 1", "commit")
                    for x in (parse(sql), bind(), execute())
                ],
                sync(),
            ),
            ready(),
        ],
    ),
    Script(
        "mixed with simple queries",
        [say(extended("select 1"), query("select 2"), extended("select 3")), ready(3)],
    ),
    Script(
        "query within a batch",
        [say(parse("select 1"), bind(), execute(), query("select 2"), sync()), ready(2)],
    ),
    Script(
        "function call within a batch",
        [say(parse("select 1"), function_call(_ABS, [b"-2"]), sync()), ready(2)],
    ),
    Script(
        "close unknown names", [say(close(b"S", "nobody"), close(b"P", "nobody"), sync()), ready()]
    ),
    Script(
        "close and parse again",
        [
            say(
                query("begin"),
                parse("select 1", "again"),
                close(b"S", "again"),
                parse("select 2", "again"),
                bind((), "again"),
                execute(),
                close(b"S", "again"),
                sync(),
                query("end"),
            ),
            ready(3),
        ],
    ),
    Script(
        "portal closed keeps its statement",
        [
            say(
                query("begin"),
                parse("select 1", "both"),
                bind((), "both", "both"),
                close(b"P", "both"),
                bind((), "both"),
                execute(),
                close(b"S", "both"),
                sync(),
                query("end"),
            ),
            ready(3),
        ],
    ),
]

PORTALS = [
    Script(
        "row limit",
        [
            say(
                query("begin"),
                parse(_ROWS),
                bind(),
                execute("", 2),
                execute("", 2),
                sync(),
                query("end"),
            ),
            ready(3),
        ],
    ),
    Script(
        "row limit without transaction",
        [say(parse(_ROWS), bind(), execute("", 1), execute("", 1), sync()), ready()],
    ),
    Script(
        "row limit reached exactly",
        [say(parse(_ROWS), bind(), execute("", 3), execute("", 1), sync()), ready()],
    ),
    Script(
        "portal over Syncs",
        [
            say(query("begin"), parse(_ROWS), bind((), "", "p"), execute("p", 1), sync()),
            ready(2),
            say(execute("p", 1), sync()),
            ready(),
            say(execute("p", 9), close(b"P", "p"), sync()),
            ready(),
            say(query("commit")),
            ready(),
        ],
    ),
    Script(
        "two portals in turn",
        [
            say(query("begin"), parse(_ROWS), bind((), "", "p"), bind((), "", "q")),
            say(sync()),
            ready(2),
            say(execute("p", 1), execute("q", 2), execute("p", 1), execute("q", 2), sync()),
            ready(),
            say(query("commit")),
            ready(),
        ],
    ),
    Script(
        "portal is gone after Sync",
        [say(parse(_ROWS), bind((), "", "p"), sync(), execute("p"), sync()), ready(2)],
    ),
    Script(
        "portal name twice",
        [
            say(
                query("begin"),
                parse(_ROWS),
                bind((), "", "p"),
                bind((), "", "p"),
                sync(),
                query("end"),
            ),
            ready(3),
        ],
    ),
    Script(
        "fetch from a portal by name",
        [
            say(
                query("begin"),
                parse(_ROWS),
                bind((), "", "p"),
                sync(),
                query("fetch 1 p"),
                query("end"),
            ),
            ready(4),
        ],
    ),
]

FLUSHES = [
    Script(
        "Flush after each",
        [
            say(parse(_ROWS), flush()),
            take(1),
            say(bind(), flush()),
            take(1),
            say(describe(), flush()),
            take(1),
            say(execute("", 2), flush()),
            take(3),
            say(execute(), flush()),
            take(2),
            say(sync()),
            ready(),
        ],
    ),
    Script(
        "Flush and error",
        [say(parse("x"), flush()), until(b"E"), say(parse("select 1"), flush(), sync()), ready()],
    ),
    Script(
        "Flush in a transaction",
        [
            say(query("begin"), parse("select 1"), flush()),
            take(3),
            say(sync(), query("end")),
            ready(2),
        ],
    ),
    Script(
        "write, Flush, no Sync for a while",
        [
            say(parse("insert into t values (7)"), bind(), execute(), flush()),
            until(b"C"),
            say(sync()),
            ready(),
        ],
    ),
    Script(
        "query after Flush without Sync",
        [
            say(parse("delete from t"), bind(), execute(), flush()),
            until(b"C"),
            say(query("rollback")),
            ready(),
            say(query("select a from t")),
            ready(),
        ],
    ),
]

_GOOD = [parse("select 1"), bind(), describe(), execute()]
_BAD = {
    "Parse": parse("x"),
    "Bind": bind((), "missing"),
    "Bind values": parse("select $1::int") + bind([b"x"]),
    "Bind count": parse("select $1::int") + bind([]),
    "Describe": describe(b"S", "missing"),
    "Describe portal": describe(b"P", "missing"),
    "Execute": parse("select 1/$1::int") + bind([b"0"]) + execute(),
    "Execute missing": execute("missing"),
    "commit": parse("insert into strict values (1, 77)") + bind() + execute(),
}

ERRORS = [
    *[Script(f"error in {name}", [say(bad, sync()), ready()]) for name, bad in _BAD.items()],
    *[
        Script(
            f"error in {name}, then skip",
            [say(bad, *_GOOD, close(b"S"), sync(), *_GOOD, sync()), ready(2)],
        )
        for name, bad in _BAD.items()
    ],
    *[
        Script(
            f"error in {name}, later skip",
            [
                say(bad, flush()),
                *([until(b"E")] if name != "commit" else []),
                say(*_GOOD),
                say(query("select 2"), sync()),
                ready(1 + (name == "commit")),
            ],
        )
        for name, bad in _BAD.items()
    ],
    *[
        Script(
            f"error in {name} in a transaction",
            [say(query("begin"), bad, *_GOOD, sync(), query("commit")), ready(3)],
        )
        for name, bad in _BAD.items()
    ],
    Script("query inside the error window", [say(parse("x"), query("select 1"), sync()), ready()]),
    Script(
        "function call inside the error window",
        [say(parse("x"), function_call(_ABS, [b"-1"]), sync()), ready()],
    ),
    Script(
        "everything inside the error window",
        [
            say(
                parse("x"),
                query("select 1"),
                function_call(_ABS, [b"-1"]),
                *_GOOD,
                flush(),
                close(b"S"),
                sync(),
                query("select 2"),
            ),
            ready(2),
        ],
    ),
    Script(
        "errors in each of many batches",
        [say(*[parse("x") + sync() + extended("select 1") for _ in range(20)]), ready(40)],
    ),
    Script(
        "Syncs in flight",
        [say(sync(), parse("x"), sync(), sync(), *_GOOD, sync(), sync()), ready(5)],
    ),
    Script(
        "error window byte by byte",
        [say_slowly(parse("x"), query("select 1"), *_GOOD, sync(), query("select 2")), ready(2)],
    ),
    Script(
        "error undoes the batch",
        [
            say(
                parse("delete from t"),
                bind(),
                execute(),
                parse("x"),
                sync(),
                query("select a from t"),
            ),
            ready(2),
        ],
    ),
    Script(
        "skipped transaction control",
        [
            say(
                query("begin"),
                parse("x"),
                bind(),
                execute(),
                query("commit"),
                sync(),
                query("commit"),
            ),
            ready(3),
        ],
    ),
    Script(
        "error, wait, then Sync",
        [
            say(parse("x"), flush()),
            until(b"E"),
            say(parse("select 1")),
            say(bind()),
            say(sync()),
            ready(),
        ],
    ),
    Script(
        "FATAL inside a batch",
        [
            say(
                parse("select pg_terminate_backend(pg_backend_pid())"),
                bind(),
                execute(),
                parse("select 1"),
                sync(),
            ),
            until(b"E"),
            take(1),
        ],
    ),
]

PIPELINES = [
    Script(
        "five thousand rounds",
        [say(*[extended("select $1::int", [b"%d" % n]) for n in range(5000)]), ready(5000)],
    ),
    Script(
        "five thousand executes before one Sync",
        [
            say(
                parse("select $1::int"),
                *[bind([b"%d" % n]) + execute() for n in range(5000)],
                sync(),
            ),
            ready(),
        ],
    ),
    Script("five thousand queries", [say(*[query("select 1") for _ in range(5000)]), ready(5000)]),
    Script("five thousand Syncs", [say(sync() * 5000), ready(5000)]),
    Script(
        "error in the midst of five thousand",
        [
            say(
                parse("select 10/$1::int"),
                *[bind([b"%d" % (n - 2500)]) + execute() for n in range(5000)],
                sync(),
            ),
            ready(),
        ],
    ),
    Script(
        "errors all over five thousand",
        [
            say(
                *[
                    parse("x" if n % 3 else "select 1") + bind() + execute() + sync()
                    for n in range(5000)
                ]
            ),
            ready(5000),
        ],
    ),
    Script(
        "seventy thousand requests without Sync", [say(close(b"P", "x") * 70000, sync()), ready()]
    ),
]
