"""Conversations that nobody thought of: random requests, valid and slightly invalid.

One client speaks to a pool of one server, so that whatever it leaves prepared is there again. A
conversation is a list of requests cut into pieces at random places. The small requests come first
in every choice: that is where shrinking ends.
"""

from __future__ import annotations

from hypothesis import strategies as st

from tests.integration.differential.script import Script, Step, say
from tests.integration.harness.messages import (
    bind,
    close,
    copy_data,
    copy_done,
    copy_fail,
    describe,
    execute,
    flush,
    function_call,
    message,
    parse,
    query,
    sync,
)

_NAMES = st.sampled_from(["", "s"])
_PORTALS = st.sampled_from(["", "p"])
_STATEMENTS = st.sampled_from(
    [
        "",
        "select 1",
        "select a from t order by a",
        "begin",
        "commit",
        "rollback",
        "x",
        "select 1/0",
        "insert into t select max(a) + 1 from t",
        "select $1::int",
        "select remark('r')",
        "savepoint s",
        "rollback to s",
        "copy t to stdout",
        "select repeat('x', 70000)",
        "insert into strict values (1, 77)",
    ]
)
_SEVERAL = st.lists(_STATEMENTS, min_size=1, max_size=3).map("; ".join)
_ROWS = st.sampled_from(
    [b"", b"400\tx\n", b"401\ty", b"\n", b"402\tx\ty\n", b"403\t" + b"z" * 70000 + b"\n"]
)

SIMPLE = st.one_of(
    st.just(sync()),
    st.just(flush()),
    st.builds(query, _SEVERAL),
    st.sampled_from([b"-5", None]).map(lambda value: function_call(1397, [value])),
    st.just(function_call(154, [b"1", b"0"])),
)
EXTENDED = st.one_of(
    st.builds(parse, _STATEMENTS, _NAMES),
    st.builds(bind, st.sampled_from([(), (b"1",), (b"x",)]), _NAMES, _PORTALS),
    st.builds(describe, st.sampled_from([b"S", b"P"]), _NAMES),
    st.builds(execute, _PORTALS, st.sampled_from([0, 1])),
    st.builds(close, st.sampled_from([b"S", b"P"]), st.sampled_from(["", "s", "p"])),
    st.builds(lambda sql: parse(sql) + bind() + execute(), _STATEMENTS),
    st.builds(lambda sql: parse(sql) + bind() + execute() + sync(), _STATEMENTS),
)
COPY = st.one_of(
    st.builds(copy_data, _ROWS),
    st.just(copy_done()),
    st.just(copy_fail("no")),
)
_COPY_IN = st.sampled_from(
    ["copy t from stdin", "copy t (b) from stdin", "copy guarded from stdin"]
)
# Always ended, and without Sync inside: when such a COPY fails, PostgreSQL alone knows which Syncs
# it has read, and a client that sends further requests at once gets FATAL from greenpool instead.
COPYING = st.builds(
    lambda start, stream, end: start + b"".join(stream) + end,
    st.one_of(_COPY_IN.map(query), _COPY_IN.map(lambda sql: parse(sql) + bind() + execute())),
    st.lists(st.one_of(st.builds(copy_data, _ROWS), st.just(flush())), max_size=6),
    st.sampled_from([copy_done(), copy_fail("no")]),
)
MALFORMED = st.sampled_from(
    [
        message(kind, body)
        for kind in (b"P", b"B", b"D", b"E", b"C", b"F", b"Q", b"f")
        for body in (b"", b"\0", b"S", b"ab\0c")
    ]
)
REQUESTS = st.lists(
    st.one_of(SIMPLE, EXTENDED, EXTENDED, COPY, COPYING, MALFORMED), min_size=1, max_size=14
)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Draw a conversation: its bytes are sent in up to six pieces, nothing is read in between."""
    sent = b"".join(draw(REQUESTS))
    cuts = sorted(draw(st.lists(st.integers(0, len(sent)), max_size=5)))
    steps: list[Step] = [
        say(sent[start:stop]) for start, stop in zip([0, *cuts], [*cuts, len(sent)], strict=True)
    ]
    return Script("generated", steps)
