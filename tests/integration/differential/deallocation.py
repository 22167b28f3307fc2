"""Conversations in which statements that came by a Parse are deallocated by SQL, as drivers do."""

from __future__ import annotations

from tests.integration.differential.script import Script, ready, say, say_slowly
from tests.integration.harness.messages import (
    bind,
    copy_data,
    copy_done,
    execute,
    extended,
    flush,
    parse,
    query,
    sync,
)


def _made(name: str, number: int = 1) -> bytes:
    return parse(f"select {number}", name) + sync()


def _used(name: str) -> bytes:
    return bind((), name) + execute() + sync()


def _spelled(text: str, name: str) -> Script:
    """Deallocate in that spelling a statement of that name, and see whether it is gone."""
    steps = [say(_made(name)), ready(), say(query(text)), ready(), say(_used(name)), ready()]
    return Script(f"deallocate spelled {text!r} for {name!r}", steps)


_SPELLINGS = [
    _spelled(text, name)
    for text, name in [
        ("deallocate p1", "p1"),
        ("DEALLOCATE P1;", "p1"),
        (" \n deallocate\tprepare\n p1 ; ", "p1"),
        ('deallocate "p1"', "p1"),
        ('deallocate prepare "P""1";', 'P"1'),
        ("deallocate P1", "P1"),
        ('deallocate "ALL"', "ALL"),
        ("deallocate p$1_x", "p$1_x"),
        ("deallocate prepare", "prepare"),
        ("deallocate /* it */ all", "p1"),
        ("deallocate p1;;", "p2"),
        ("deallocate p2", "p1"),
        ("deallocate", "p1"),
        ("deallocate 1", "1"),
        ("deallocate p1 p1", "p1"),
        ("deallocatep1", "p1"),
        ('deallocate "p1', "p1"),
        ('deallocate ""', "p1"),
    ]
]

REQUESTS = [
    *_SPELLINGS,
    Script(
        "deallocated name is free for another text",
        [
            say(_made("p1"), query("deallocate p1"), _made("p1", 2), _used("p1")),
            ready(4),
        ],
    ),
    Script(
        "deallocated byte by byte",
        [say(_made("p1")), ready(), say_slowly(query("deallocate p1")), ready()],
    ),
    Script(
        "deallocated in a transaction",
        [
            say(query("begin"), _made("p1"), query("deallocate p1"), _used("p1")),
            ready(4),
            say(query("rollback"), _used("p1")),
            ready(2),
        ],
    ),
    Script(
        "deallocated in a transaction that goes on",
        [
            say(query("begin"), _made("p1"), _made("p2")),
            ready(3),
            say(query("deallocate p1")),
            ready(),
            say(query("insert into t values (900)"), query("commit"), _used("p1"), _used("p2")),
            ready(4),
        ],
    ),
    Script(
        "deallocated in a savepoint, as psqlODBC does",
        [
            say(query("begin"), _made("p1")),
            ready(2),
            say(query('SAVEPOINT _s;DEALLOCATE "p1";RELEASE _s'), _used("p1")),
            ready(2),
            say(query("rollback")),
            ready(),
        ],
    ),
    Script(
        "deallocated in a savepoint of a failed transaction, or of none",
        [
            say(_made("p1"), query("begin"), query("scream")),
            ready(3),
            say(query("savepoint s;deallocate p1;release s")),
            ready(),
            say(query("rollback"), query("savepoint s;deallocate p1;release s"), _used("p1")),
            ready(3),
        ],
    ),
    Script(
        "deallocated in a failed transaction",
        [
            say(_made("p1"), query("begin"), query("scream")),
            ready(3),
            say(query("deallocate p1")),
            ready(),
            say(query("rollback"), _used("p1")),
            ready(2),
        ],
    ),
    Script(
        "deallocated after a savepoint was rolled back to",
        [
            say(
                query("begin"), query("savepoint s"), parse("select 1/0", "p1"), sync(), _used("p1")
            ),
            ready(4),
            say(query("deallocate p1"), query("rollback to s"), query("deallocate p1")),
            ready(3),
            say(query("select 1"), query("commit")),
            ready(2),
        ],
    ),
    Script(
        "deallocated behind what fails in the same breath",
        [
            say(_made("p1"), query("begin"), query("select 1/0"), query("deallocate p1")),
            ready(4),
            say(query("rollback"), _used("p1")),
            ready(2),
        ],
    ),
    Script(
        "deallocated before its Parse has failed",
        [say(parse("selec 1", "p1"), sync(), query("deallocate p1")), ready(2)],
    ),
    Script(
        "deallocate ends the unnamed statement",
        [
            say(_made("p1"), _made(""), query("deallocate p1"), bind(), execute(), sync()),
            ready(4),
        ],
    ),
    Script(
        "deallocated while many answers are owed",
        [
            say(
                *[_made(f"p{n}", n) + _used(f"p{n}") for n in range(20)],
                *[query(f"deallocate p{n}") for n in range(20)],
                *[_used(f"p{n}") for n in range(20)],
            ),
            ready(80),
        ],
    ),
    Script(
        "deallocate skipped after an error",
        [
            say(_made("p1")),
            ready(),
            say(bind((), "nobody"), flush(), query("deallocate p1"), sync(), _used("p1")),
            ready(2),
        ],
    ),
    Script(
        "deallocate behind a COPY that goes well",
        [
            say(_made("p1"), query("copy t from stdin")),
            ready(),
            say(copy_data(b"901\tx\n"), copy_done(), query("deallocate p1")),
            ready(2),
        ],
    ),
    Script(
        "deallocate of what PREPARE made, beside a Parse",
        [
            say(query("prepare p1 as select 5"), _made("p2"), query("deallocate p1")),
            ready(3),
            say(query("execute p1"), _used("p2")),
            ready(2),
        ],
    ),
    Script(
        "two clients deallocate one name",
        [
            say(_made("p1", 1)),
            ready(),
            say(_made("p1", 2), client=1),
            ready(client=1),
            say(query("deallocate p1")),
            ready(),
            say(_used("p1"), client=1),
            ready(client=1),
            say(_used("p1")),
            ready(),
            say(query("deallocate p1"), client=1),
            ready(client=1),
        ],
    ),
    Script(
        "two clients deallocate one text",
        [
            say(_made("p1")),
            ready(),
            say(_made("p2"), client=1),
            ready(client=1),
            say(query("deallocate p1"), extended("select 3")),
            ready(2),
            say(_used("p2"), client=1),
            ready(client=1),
        ],
    ),
]
