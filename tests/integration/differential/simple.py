"""Conversations in the simple protocol, and FunctionCall."""

from __future__ import annotations

import struct

from tests.integration.differential.script import Script, ready, say, say_slowly, take, until
from tests.integration.harness.messages import execute, flush, function_call, query, sync

_ABS, _DIVIDE = 1397, 154

QUERIES = [
    Script("one query", [say(query("select 1, null, 'x'")), ready()]),
    Script("several statements", [say(query("select 1; select 2; select 3")), ready()]),
    Script(
        "several statements, one fails", [say(query("select 1; select 1/0; select 3")), ready()]
    ),
    Script("empty query", [say(query("")), ready()]),
    Script("only semicolons and a comment", [say(query(";; -- nothing")), ready()]),
    Script("empty select", [say(query("select")), ready()]),
    Script("syntax error", [say(query("selec 1")), ready()]),
    Script("unknown table", [say(query("select * from missing")), ready()]),
    Script("error, then a query", [say(query("select 1/0"), query("select 1")), ready(2)]),
    Script(
        "error after rows", [say(query("select 10/(5-g) from generate_series(1, 9) g")), ready()]
    ),
    Script("table rows", [say(query("select * from t order by a")), ready()]),
    Script("writes", [say(query("insert into t values (9) returning a; delete from t")), ready()]),
    Script("implicit transaction is undone", [say(query("delete from t; select 1/0")), ready()]),
    Script("query with a zero byte inside", [say(query("select 1\0select 2")), ready()]),
    Script(
        "twenty queries in flight", [say(*[query(f"select {n}") for n in range(20)]), ready(20)]
    ),
    Script("a query byte by byte", [say_slowly(query("select 1; select 'slow'")), ready()]),
    Script("two queries byte by byte", [say_slowly(query("select 1"), query("x")), ready(2)]),
    Script(
        "many rows",
        [say(query("select g, repeat('x', 50) from generate_series(1, 9999) g")), ready()],
    ),
    Script("wide rows", [say(query("select repeat('w', 3000000), 1 from t")), ready()]),
    Script("long query", [say(query(f"select length('{'q' * 3000000}')")), ready()]),
    Script(
        "long error",
        [say(query(f"select 1 from \"{'e' * 60}\" where '{'e' * 40000}'::int = 1")), ready()],
    ),
    Script("idle Sync", [say(sync()), ready(), say(sync(), sync()), ready(2)]),
    Script("idle Flush", [say(flush(), flush()), say(query("select 1")), ready()]),
    Script("Flush between queries", [say(query("select 1"), flush(), query("select 2")), ready(2)]),
    Script("Sync between queries", [say(query("select 1"), sync(), query("select 2")), ready(3)]),
    Script("Execute of nothing", [say(execute("nothing"), sync()), ready()]),
    Script("function call", [say(function_call(_ABS, [b"-7"])), ready()]),
    Script("function call with null", [say(function_call(_ABS, [None])), ready()]),
    Script("function call fails", [say(function_call(_DIVIDE, [b"1", b"0"])), ready()]),
    Script("function call of nothing", [say(function_call(999999, [])), ready()]),
    Script(
        "function calls and queries in flight",
        [
            say(
                function_call(_ABS, [b"-1"]),
                query("select 2"),
                function_call(_DIVIDE, [b"1", b"0"]),
            ),
            say(query("select 3"), function_call(_ABS, [b"-4"])),
            ready(5),
        ],
    ),
    Script(
        "procedure that commits",
        [say(query("call commits(1)")), ready(), say(query("select * from t")), ready()],
    ),
]

TRANSACTIONS = [
    Script(
        "transaction",
        [
            say(query("begin")),
            ready(),
            say(query("insert into t values (4)")),
            ready(),
            say(query("commit")),
            ready(),
            say(query("select a from t")),
            ready(),
        ],
    ),
    Script(
        "transaction in flight",
        [say(query("begin"), query("delete from t"), query("rollback")), ready(3)],
    ),
    Script(
        "transaction in one query",
        [say(query("begin; delete from t; rollback; select count(*) from t")), ready()],
    ),
    Script(
        "begin left by an error",
        [say(query("begin; select 1/0; commit")), ready(), say(query("commit")), ready()],
    ),
    Script(
        "failed transaction",
        [say(query("begin"), query("select 1/0"), query("select 1"), query("commit")), ready(4)],
    ),
    Script(
        "rollback of a failed one", [say(query("begin"), query("x"), query("rollback")), ready(3)]
    ),
    Script(
        "savepoints",
        [
            say(query("begin"), query("savepoint s"), query("x"), query("rollback to s")),
            ready(4),
            say(query("insert into t values (5)"), query("release s"), query("commit")),
            ready(3),
        ],
    ),
    Script("commit without begin", [say(query("commit")), ready()]),
    Script("begin within begin", [say(query("begin"), query("begin"), query("commit")), ready(3)]),
    Script(
        "commit and chain",
        [say(query("begin"), query("commit and chain"), query("rollback")), ready(3)],
    ),
    Script(
        "deferred constraint at commit",
        [
            say(query("begin"), query("insert into strict values (1, 77)"), query("commit")),
            ready(3),
        ],
    ),
    Script(
        "deferred constraint, autocommit",
        [say(query("insert into strict values (1, 77)")), ready()],
    ),
    Script(
        "read only", [say(query("begin read only"), query("delete from t"), query("end")), ready(3)]
    ),
    Script(
        "cursor",
        [
            say(query("begin"), query("declare c cursor for select a from t order by a")),
            ready(2),
            say(query("fetch 2 c"), query("fetch all c"), query("close c"), query("commit")),
            ready(4),
        ],
    ),
    Script(
        "two clients in transactions",
        [
            say(query("begin")),
            say(query("begin"), client=1),
            ready(),
            ready(client=1),
            say(query("insert into t values (6)")),
            ready(),
            say(query("commit")),
            ready(),
            say(query("select a from t"), query("commit"), client=1),
            ready(2, client=1),
        ],
        servers=2,
    ),
    Script(
        "two clients wait for a lock",
        [
            say(query("begin"), query("update t set b = 'mine' where a = 1")),
            ready(2),
            say(query("update t set b = b || '!' where a = 1"), client=1),
            say(query("commit")),
            ready(),
            ready(client=1),
        ],
        servers=2,
    ),
    Script(
        "four clients in turn",
        [
            step
            for client in (0, 1, 2, 3, 2, 1, 0)
            for step in (say(query(f"select {client}"), client=client), ready(client=client))
        ],
    ),
    Script(
        "transaction byte by byte",
        [say_slowly(query("begin"), query("select 1"), query("end")), ready(3)],
    ),
]

NEWS = [
    Script("notices", [say(query("select remark('a'), remark('b')")), ready()]),
    Script("warning", [say(query("rollback")), ready()]),
    Script(
        "notice in a transaction",
        [say(query("begin"), query("select remark('x')"), query("end")), ready(3)],
    ),
    Script(
        "notice in an extended query",
        [say(query("select 1"), query("do $$begin raise notice 'n'; end$$")), ready(2)],
    ),
    Script("exception in a function", [say(query("select scream()")), ready()]),
    Script(
        "parameter status",
        [
            say(query("begin"), query("set local application_name = 'told'"), query("commit")),
            ready(3),
        ],
    ),
    Script(
        "parameter status in one query",
        [
            say(query("begin; set timezone = 'Asia/Tokyo'; set datestyle = 'German'; rollback")),
            ready(),
        ],
    ),
    Script(
        "notify oneself",
        [
            say(query("begin; listen bell; notify bell, 'ding'; select 1; unlisten bell; commit")),
            ready(),
        ],
    ),
    Script(
        "heard of oneself",
        [
            say(
                query("begin"),
                query("listen bell"),
                query("notify bell, 'ding'"),
                query("select 1"),
            ),
            ready(4),
            say(query("commit; unlisten *")),
            ready(),
        ],
    ),
    Script("notify nobody", [say(query("notify bell, 'x'")), ready()]),
    Script(
        "terminates itself in a query",
        [say(query("select pg_terminate_backend(pg_backend_pid())")), until(b"E"), take(1)],
    ),
    Script(
        "terminates itself in a transaction",
        [
            say(query("begin")),
            ready(),
            say(query("select pg_terminate_backend(pg_backend_pid())")),
            until(b"E"),
            take(1),
        ],
    ),
    Script(
        "cancels itself",
        [
            say(
                query("select pg_cancel_backend(pg_backend_pid()), pg_sleep(5)"), query("select 2")
            ),
            ready(2),
        ],
    ),
    Script(
        "statement timeout",
        [
            say(
                query("begin; set local statement_timeout = 20; select pg_sleep(5)"),
                query("rollback"),
            ),
            ready(2),
        ],
    ),
    Script(
        "idle in transaction timeout",
        [say(query("begin; set local idle_in_transaction_session_timeout = 20")), ready(), take(2)],
    ),
]

_BINARY_CALL = struct.pack("!IHHHiiH", _ABS, 1, 1, 1, 4, -9, 1)
FUNCTIONS = [
    Script(
        "binary function call",
        [say(b"F" + struct.pack("!I", len(_BINARY_CALL) + 4) + _BINARY_CALL), ready()],
    ),
    Script("function call byte by byte", [say_slowly(function_call(_ABS, [b"-7"])), ready()]),
    Script(
        "function call in a transaction",
        [say(query("begin"), function_call(_ABS, [b"-7"]), query("end")), ready(3)],
    ),
    Script(
        "function call fails in a transaction",
        [say(query("begin"), function_call(_DIVIDE, [b"1", b"0"]), query("end")), ready(3)],
    ),
]
