"""Conversations in COPY: in and out, in both protocols, and every way to break one off."""

from __future__ import annotations

from tests.integration.differential.script import Script, ready, say, say_slowly, until
from tests.integration.harness.messages import (
    bind,
    copy_data,
    copy_done,
    copy_fail,
    execute,
    extended,
    flush,
    parse,
    query,
    sync,
)

_IN = "copy t from stdin"
_OUT = "copy (select g, 'row ' || g from generate_series(1, 1000) g) to stdout"
_ROW, _BAD = copy_data(b"50\tfifty\n"), copy_data(b"51\tx\ty\tz\n")
_GUARDED = parse("copy guarded from stdin") + bind() + execute()
_BEGIN = parse(_IN) + bind() + execute()

OUT = [
    Script("copy out", [say(query(_OUT)), ready()]),
    Script("copy out extended", [say(extended(_OUT)), ready()]),
    Script("copy out binary", [say(query("copy t to stdout (format binary)")), ready()]),
    Script(
        "two copies out in a query",
        [say(query("copy t to stdout; copy t to stdout; select 1")), ready()],
    ),
    Script(
        "copy out fails midway",
        [say(query("copy (select 10/(5-g) from generate_series(1, 9) g) to stdout")), ready()],
    ),
    Script(
        "copy out extended fails midway",
        [
            say(
                extended("copy (select 10/(5-g) from generate_series(1, 9) g) to stdout"),
                extended("select 1"),
            ),
            ready(2),
        ],
    ),
    Script(
        "copy out, many bytes",
        [
            say(query("copy (select repeat('x', 1000) from generate_series(1, 5000)) to stdout")),
            ready(),
        ],
    ),
    Script(
        "copy out and the next query",
        [say(query(_OUT), query("select 1"), extended("select 2")), ready(3)],
    ),
    Script(
        "copy out in a transaction", [say(query("begin"), query(_OUT), query("commit")), ready(3)]
    ),
]

IN = [
    Script(
        "copy in",
        [
            say(query(_IN)),
            until(b"G"),
            say(_ROW, copy_done()),
            ready(),
            say(query("select a from t")),
            ready(),
        ],
    ),
    Script("copy in, all at once", [say(query(_IN), _ROW, copy_done()), ready()]),
    Script(
        "copy in and the next query",
        [say(query(_IN), _ROW, copy_done(), query("select count(*) from t")), ready(2)],
    ),
    Script("copy in byte by byte", [say_slowly(query(_IN), _ROW, copy_done()), ready()]),
    Script(
        "copy in, rows across messages",
        [
            say(
                query(_IN),
                copy_data(b"60\tsi"),
                copy_data(b""),
                copy_data(b"xty\n61"),
                copy_data(b"\tx\n"),
                copy_done(),
            ),
            ready(),
        ],
    ),
    Script("copy in of nothing", [say(query(_IN), copy_done()), ready()]),
    Script(
        "copy in with an end mark",
        [say(query(_IN), _ROW, copy_data(b"\\.\n"), copy_done()), ready()],
    ),
    Script(
        "copy in, large",
        [
            say(
                query(_IN),
                *[copy_data(b"%d\t%s\n" % (n, b"x" * 9000)) for n in range(100, 400)],
                copy_done(),
            ),
            ready(),
        ],
    ),
    Script(
        "copy in, one large row",
        [say(query(_IN), copy_data(b"70\t" + b"y" * 4000000 + b"\n"), copy_done()), ready()],
    ),
    Script(
        "copy in, then fail",
        [say(query(_IN)), until(b"G"), say(_ROW, copy_fail("changed my mind")), ready()],
    ),
    Script(
        "copy in, fail at once", [say(query(_IN), copy_fail("no"), query("select 1")), ready(2)]
    ),
    Script(
        "copy in extended",
        [say(_BEGIN), say(flush()), until(b"G"), say(_ROW, copy_done(), sync()), ready()],
    ),
    Script(
        "copy in extended, all at once",
        [say(_BEGIN, _ROW, copy_done(), sync(), extended("select 1")), ready(2)],
    ),
    Script(
        "copy in extended, then fail",
        [say(_BEGIN, _ROW, copy_fail("no"), sync(), extended("select 1")), ready(2)],
    ),
    Script(
        "copy in extended, early Sync",
        [say(_BEGIN, sync()), until(b"G"), say(_ROW, copy_done(), sync()), ready()],
    ),
    Script(
        "copy in extended, early Sync, fail",
        [say(_BEGIN, sync()), until(b"G"), say(copy_fail("no"), sync()), ready()],
    ),
    Script(
        "copy in extended, Syncs all over",
        [say(_BEGIN, sync(), sync(), _ROW, sync(), flush(), sync(), copy_done(), sync()), ready()],
    ),
    Script(
        "copy in, Syncs and Flushes",
        [say(query(_IN), sync(), _ROW, flush(), sync(), copy_done()), ready()],
    ),
    Script(
        "two copies in a query",
        [
            say(query(f"{_IN}; {_IN}")),
            until(b"G"),
            say(_ROW, copy_done()),
            until(b"G"),
            say(copy_data(b"52\tx\n"), copy_done()),
            ready(),
        ],
    ),
    Script(
        "two copies in a query, all at once",
        [
            say(
                query(f"{_IN}; select 1; {_IN}"),
                _ROW,
                copy_done(),
                copy_data(b"52\tx\n"),
                copy_done(),
                query("select 2"),
            ),
            ready(2),
        ],
    ),
    Script(
        "second of two copies fails",
        [
            say(query(f"{_IN}; {_IN}"), _ROW, copy_done(), _BAD, copy_done(), query("select 2")),
            ready(2),
        ],
    ),
    Script(
        "first of two copies fails",
        [
            say(query(f"{_IN}; {_IN}"), _BAD, copy_done(), _ROW, copy_done(), query("select 2")),
            ready(2),
        ],
    ),
    Script(
        "in and out in a query",
        [say(query(f"{_IN}; copy t to stdout"), _ROW, copy_done(), query("select 2")), ready(2)],
    ),
    Script(
        "copy in, in a transaction",
        [say(query("begin"), query(_IN), _ROW, copy_done(), query("rollback")), ready(3)],
    ),
    Script(
        "copy in twice, in a transaction",
        [
            say(
                query("begin"),
                query(_IN),
                _ROW,
                copy_done(),
                query(_IN),
                copy_fail("x"),
                query("rollback"),
            ),
            ready(4),
        ],
    ),
]

FAILING = [
    Script(
        "copy in, bad row",
        [
            say(query(_IN)),
            until(b"G"),
            say(_BAD),
            until(b"Z"),
            say(_ROW, copy_done(), query("select 1")),
            ready(),
        ],
    ),
    Script(
        "copy in, bad row, still streaming",
        [say(query(_IN), _BAD, *[_ROW] * 5000, copy_done(), query("select 1")), ready(2)],
    ),
    Script(
        "copy in, bad row, end in flight",
        [say(query(_IN), _BAD, copy_done()), ready(), say(query("select 1")), ready()],
    ),
    Script(
        "copy in, refused by a trigger",
        [
            say(
                query("copy guarded from stdin"),
                copy_data(b"1\n") * 1000,
                copy_done(),
                query("select 1"),
            ),
            ready(2),
        ],
    ),
    Script(
        "copy in, no such table",
        [say(query("copy missing from stdin"), _ROW, copy_done(), query("select 1")), ready(2)],
    ),
    Script(
        "copy in, duplicate key", [say(query(_IN), copy_data(b"1\tagain\n"), copy_done()), ready()]
    ),
    Script(
        "copy in extended, bad row",
        [say(_BEGIN, _BAD, _ROW, copy_done(), sync(), extended("select 1")), ready(2)],
    ),
    Script(
        "copy in extended, bad row, wait",
        [
            say(_BEGIN),
            say(flush()),
            until(b"G"),
            say(_BAD),
            until(b"E"),
            say(_ROW, copy_done(), sync()),
            ready(),
        ],
    ),
    Script(
        "copy in extended, refused by a trigger",
        [
            say(
                parse("copy guarded from stdin"),
                bind(),
                execute(),
                copy_data(b"1\n") * 1000,
                copy_done(),
                sync(),
                query("select 1"),
            ),
            ready(2),
        ],
    ),
    Script(
        "copy in extended, no such table",
        [
            say(
                parse("copy missing from stdin"),
                bind(),
                execute(),
                _ROW,
                copy_done(),
                sync(),
                query("select 1"),
            ),
            ready(2),
        ],
    ),
    Script(
        "copy in, bad row, in a transaction",
        [say(query("begin"), query(_IN), _BAD, _ROW, copy_done(), query("commit")), ready(3)],
    ),
    Script(
        "copy in, half a message when it fails",
        [
            say(query(_IN)),
            until(b"G"),
            say(_BAD, copy_data(b"x" * 99)[:50]),
            ready(),
            say(copy_data(b"x" * 99)[50:], copy_done()),
            say(query("select 1")),
            ready(),
        ],
    ),
    Script(
        "stray copy messages",
        [
            say(_ROW, copy_done(), copy_fail("x"), query("select 1"), copy_done(), _ROW),
            ready(),
            say(copy_fail("y"), sync()),
            ready(),
        ],
    ),
    Script(
        "stray copy messages in a transaction",
        [
            say(query("begin"), copy_done(), query("select 1"), copy_fail("y"), _ROW, query("end")),
            ready(3),
        ],
    ),
    Script(
        "stray copy messages in a batch",
        [
            say(parse("select 1"), copy_done(), bind(), _ROW, execute(), copy_fail("x"), sync()),
            ready(),
        ],
    ),
    Script(
        "copy in, refused before its Sync is read",
        [say(query("copy guarded from stdin"), sync(), query("select 1")), ready(3)],
    ),
    Script(
        "copy in extended, refused before its Sync is read",
        [say(_GUARDED, sync()), ready(), say(copy_done(), sync(), query("select 1")), ready(2)],
    ),
    Script(
        "copy in, Sync behind a bad row",
        [say(query(_IN), sync(), _BAD, sync(), copy_done(), sync(), query("select 1")), ready(4)],
    ),
    Script(
        "copy in, bad row, Sync, in a transaction",
        [say(query("begin"), query(_IN), _BAD, sync(), copy_done(), query("commit")), ready(4)],
    ),
]
