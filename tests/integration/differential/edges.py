"""Conversations at the edges: sizes around every buffer, goodbyes, and broken messages."""

from __future__ import annotations

from collections.abc import Iterator

from tests.integration.differential.script import Script, end, ready, say, shut, until
from tests.integration.harness.messages import (
    bind,
    copy_data,
    copy_done,
    execute,
    extended,
    message,
    parse,
    query,
    sync,
    terminate,
)

_BUFFERS = (512, 4096, 8192, 16384, 65536, 131072)


def _around(size: int) -> tuple[int, ...]:
    return size - 6, size - 5, size - 1, size, size + 1, size + 5


def _query_of(total: int) -> bytes:
    """Build a Query of so many bytes on the wire."""
    return query("select 1".ljust(total - 6))


def _sizes() -> Iterator[Script]:
    for size in _BUFFERS:
        totals = _around(size)
        yield Script(f"queries around {size}", [say(*map(_query_of, totals)), ready(len(totals))])
        yield Script(
            f"rows around {size}",
            [
                say(*[query(f"select repeat('x', {total - 11})") for total in totals]),
                ready(len(totals)),
            ],
        )
        yield Script(
            f"parameters around {size}",
            [
                say(*[extended("select length($1)", [b"p" * (total - 20)]) for total in totals]),
                ready(len(totals)),
            ],
        )
        yield Script(
            f"copy messages around {size}",
            [
                say(query("copy t from stdin")),
                *[
                    say(copy_data(b"%d\t%s\n" % (1000 + total, b"c" * (total - 12))))
                    for total in totals
                ],
                say(copy_done()),
                ready(),
            ],
        )
        yield Script(
            f"errors around {size}",
            [
                say(
                    *[
                        query(f"do $$ begin raise '{'e' * (total - 110)}'; end $$")
                        for total in totals
                    ]
                ),
                ready(len(totals)),
            ],
        )


SIZES = list(_sizes())

GOODBYES = [
    Script("Terminate", [say(terminate()), end()]),
    Script("Terminate behind a query", [say(query("select 1"), terminate()), end()]),
    Script(
        "Terminate behind a slow query", [say(query("select pg_sleep(0.2)"), terminate()), end()]
    ),
    Script(
        "Terminate behind many rows",
        [say(query("select repeat('x', 1000) from generate_series(1, 20000)"), terminate()), end()],
    ),
    Script("Terminate behind a batch", [say(extended("select 1"), terminate()), end()]),
    Script(
        "Terminate behind an insert", [say(query("insert into t values (80)"), terminate()), end()]
    ),
    Script(
        "Terminate in a transaction",
        [say(query("begin; insert into t values (81)")), ready(), say(terminate()), end()],
    ),
    Script(
        "Terminate in a failed transaction",
        [say(query("begin; x"), query("begin"), query("x")), ready(3), say(terminate()), end()],
    ),
    Script(
        "Terminate in the error window",
        [say(parse("x"), b"H\0\0\0\4"), until(b"E"), say(terminate()), end()],
    ),
    Script(
        "Terminate after Flush",
        [
            say(parse("insert into t values (82)"), bind(), execute(), b"H\0\0\0\4"),
            until(b"C"),
            say(terminate()),
            end(),
        ],
    ),
    Script(
        "bytes behind Terminate",
        [say(query("select 1"), terminate(), query("insert into t values (83)")), end()],
    ),
    Script("half-close", [shut(), end()]),
    Script("half-close after a query", [say(query("select 1")), shut(), end()]),
    Script(
        "half-close after queries",
        [
            say(query("select 1"), extended("insert into t values (84)"), query("select 2")),
            shut(),
            end(),
        ],
    ),
    Script("half-close after a slow query", [say(query("select pg_sleep(0.2)")), shut(), end()]),
    Script(
        "half-close in a transaction",
        [say(query("begin; insert into t values (85)")), ready(), shut(), end()],
    ),
    Script(
        "half-close after a Flush",
        [
            say(parse("insert into t values (86)"), bind(), execute(), b"H\0\0\0\4"),
            until(b"C"),
            shut(),
            end(),
        ],
    ),
    Script(
        "half-close in part of a header",
        [say(query("begin")), ready(), say(b"Q\0\0"), shut(), end()],
    ),
]

BROKEN = [
    Script("unknown type", [say(message(b"!", b"what")), end()], texts_differ=True),
    Script(
        "unknown type behind a query",
        [say(query("select 1")), ready(), say(message(b"\xff")), end()],
        texts_differ=True,
    ),
    Script(
        "unknown type in flight",
        [say(query("insert into t values (90)"), message(b"!")), end()],
        texts_differ=True,
    ),
    Script(
        "unknown type in a transaction",
        [say(query("begin; insert into t values (91)")), ready(), say(message(b"~")), end()],
        texts_differ=True,
    ),
    Script("password out of place", [say(message(b"p", b"secret\0")), end()], texts_differ=True),
    Script("Parse without its end", [say(message(b"P", b"a\0select 1"), sync()), ready()]),
    Script(
        "Bind of garbage", [say(parse("select 1"), message(b"B", b"\0\0\xff\xff"), sync()), ready()]
    ),
    Script("Query without its zero", [say(message(b"Q", b"select 1")), ready()]),
    Script("Query of no bytes", [say(message(b"Q")), ready()]),
    Script("Describe of neither", [say(message(b"D", b"X\0"), sync()), ready()]),
    Script("Close of neither", [say(message(b"C", b"X\0"), sync()), ready()]),
    Script("Execute cut short", [say(message(b"E", b"\0\0"), sync()), ready()]),
    Script("FunctionCall of garbage", [say(message(b"F", b"\0\0\0")), ready()]),
    Script("Query inside COPY", [say(query("copy t from stdin"), query("select 1")), end()]),
    Script("invalid encoding", [say(message(b"Q", b"select '\xff\xfe'\0")), ready()]),
    Script(
        "invalid encoding in a parameter", [say(extended("select $1::text", [b"\xff"])), ready()]
    ),
]
