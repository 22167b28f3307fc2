"""The console's protocol: the order of answers, the error window, names, formats."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenpool.admin.conversation import MAX_STATEMENTS, Conversation
from greenpool.errors import ClientProtocolError
from greenpool.protocol.frame import FrameReader
from greenpool.protocol.message import FrontendType, Message, build
from tests.unit.admin import wire
from tests.unit.admin.samples import Bench
from tests.unit.admin.wire import FLUSH, SYNC, bind, close, describe, execute, parse, query

BAD_QUERY = query("SHOW 1")


class Talk:
    """A conversation that remembers nothing but what PostgreSQL's would."""

    def __init__(self, bench: Bench) -> None:
        self.conversation = Conversation(bench.console, bench.speaker)

    def __call__(self, *sent: bytes) -> bytes:
        found = FrameReader(FrontendType, 1 << 20).feed(b"".join(sent))
        return b"".join(piece for each in found for piece in self.conversation.receive(each))

    def words(self, *sent: bytes) -> list[str]:
        return wire.words(self(*sent))


@pytest.fixture
def talk(bench: Bench) -> Talk:
    return Talk(bench)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SHOW VERSION", ["T", "D", "C(SHOW)"]),
        ("SHOW VERSION;SELECT 1", ["T", "D", "C(SHOW)", "T", "D", "C(SELECT 1)"]),
        ("", ["I"]),
        (" -- hello\n;", ["I"]),
        ("SHOW POLS", ["E(42601)"]),
        ("SHOW VERSION; SHOW POLS", ["E(42601)"]),  # understood as a whole, like PostgreSQL
        ("BEGIN; COMMIT", ["C(BEGIN)", "C(COMMIT)"]),
        ("SHOW VERSION; DEALLOCATE x; SHOW VERSION", ["T", "D", "C(SHOW)", "E(26000)"]),
        ("SET application_name='x'", ["C(SET)"]),
    ],
)
def test_simple_queries(talk: Talk, sql: str, expected: list[str]) -> None:
    assert talk.words(query(sql)) == [*expected, "Z(I)"]


def test_a_transaction_lasts_until_its_end_and_errors_do_not_abort_it(talk: Talk) -> None:
    assert talk.words(query("BEGIN"), BAD_QUERY, query("SHOW VERSION"), query("ROLLBACK")) == [
        "C(BEGIN)", "Z(T)", "E(42601)", "Z(T)", "T", "D", "C(SHOW)", "Z(T)", "C(ROLLBACK)", "Z(I)",
    ]  # fmt: skip


def test_an_extended_query_is_answered_in_order(talk: Talk) -> None:
    sent = [parse("SHOW VERSION"), describe("S"), bind(), describe("P"), execute(), FLUSH, SYNC]
    assert talk.words(*sent) == ["1", "t", "T", "2", "T", "D", "C(SHOW)", "Z(I)"]


def test_a_command_without_rows_has_no_description(talk: Talk, bench: Bench) -> None:
    sent = [parse("RELOAD"), describe("S"), bind(), describe("P"), SYNC]
    assert talk.words(*sent) == ["1", "t", "n", "2", "n", "Z(I)"]
    assert bench.commands == []  # described, not executed
    assert talk.words(bind(), execute(), execute(), SYNC) == ["2", "C(RELOAD)", "E(55000)", "Z(I)"]
    assert bench.commands == ["reload"]


def test_an_empty_statement_is_answered_as_such(talk: Talk) -> None:
    sent = [parse(" ;"), bind(), describe("P"), execute(), SYNC]
    assert talk.words(*sent) == ["1", "2", "n", "I", "Z(I)"]


def test_after_an_error_everything_up_to_sync_is_discarded(talk: Talk, bench: Bench) -> None:
    sent = [
        parse("SHOW POLS", "a"), bind("a"), execute(), query("RELOAD"), FLUSH,
        build(FrontendType.FUNCTION_CALL), parse("SHOW VERSION", "b"), SYNC, SYNC,
    ]  # fmt: skip
    assert talk.words(*sent) == ["E(42601)", "Z(I)", "Z(I)"]
    assert bench.commands == []
    assert talk.words(bind("a"), SYNC, bind("b"), SYNC) == [
        "E(26000)", "Z(I)", "E(26000)", "Z(I)",
    ]  # fmt: skip


def test_rows_are_given_in_portions(talk: Talk) -> None:
    start = [parse("SHOW POOLS"), bind(portal="p")]
    assert talk.words(*start, execute("p", 2)) == ["1", "2", "D", "D", "s"]
    assert talk.words(execute("p", 2)) == ["D", "C(SHOW)"]
    assert talk.words(execute("p", 2), SYNC) == ["C(SHOW)", "Z(I)"]
    assert talk.words(execute("p"), SYNC) == ["E(34000)", "Z(I)"]  # gone with its transaction


def test_portals_live_as_long_as_the_transaction(talk: Talk) -> None:
    talk(query("BEGIN"), parse("SHOW POOLS", "s"), bind("s", "p"), execute("p", 1), SYNC)
    assert talk.words(execute("p", 3), SYNC) == ["D", "D", "C(SHOW)", "Z(T)"]
    assert talk.words(bind("s", "p"), SYNC) == ["E(42P03)", "Z(T)"]
    assert talk.words(close("P", "p"), bind("s", "p"), SYNC) == ["3", "2", "Z(T)"]
    talk(query("COMMIT"))
    assert talk.words(execute("p"), SYNC) == ["E(34000)", "Z(I)"]


def test_formats_are_those_of_the_bind(talk: Talk) -> None:
    bound = [parse("SHOW POOLS"), bind(formats=(1,)), describe("P"), execute(), SYNC]
    answer = talk(*bound)
    assert {code for _, _, code in wire.columns(answer)} == {1}
    first = wire.rows(answer)[0]
    assert first[:4] == [b"app", b"alice", struct.pack("!i", 3), struct.pack("!i", 1)]
    assert first[16:18] == [None, struct.pack("!q", 2)]  # load_balance_hosts, cl_idle
    mixed = talk(parse("SHOW LISTS"), bind(formats=(0, 1)), describe("P"), execute(), SYNC)
    assert wire.columns(mixed) == [("list", 25, 0), ("items", 23, 1)]
    assert wire.rows(mixed)[0] == [b"databases", b"\0\0\0\2"]
    assert wire.rows(talk(query("SHOW LISTS")))[0] == [b"databases", b"2"]


@pytest.mark.parametrize(
    ("sent", "sqlstate"),
    [
        (bind("nobody"), "26000"),
        (bind(), "26000"),
        (describe("S", "nobody"), "26000"),
        (describe("P", "nobody"), "34000"),
        (execute("nobody"), "34000"),
        (parse("SHOW VERSION; SHOW VERSION"), "42601"),
        (parse("SHOW VERSION", "known"), "42P05"),
        (bind("known", parameters=1), "08P01"),
        (bind("known", formats=(0, 1)), "08P01"),
        (bind("known", formats=(2,)), "22023"),
        (describe("X"), "08P01"),
        (build(FrontendType.PARSE, b"a\0b"), "08P01"),
        (build(FrontendType.BIND, b"\0known\0\0\1"), "08P01"),
        (build(FrontendType.EXECUTE, b"\0\0"), "08P01"),
    ],
)
def test_extended_errors_open_a_window_and_change_nothing(
    talk: Talk, sent: bytes, sqlstate: str
) -> None:
    talk(parse("SHOW VERSION", "known"), SYNC)
    assert talk.words(sent, execute(), SYNC) == [f"E({sqlstate})", "Z(I)"]
    assert talk.words(bind("known"), execute(), SYNC) == ["2", "D", "C(SHOW)", "Z(I)"]


def test_names_come_free_again(talk: Talk) -> None:
    define = parse("SHOW VERSION", "a")
    assert talk.words(define, close("S", "a"), close("S", "a"), define, SYNC) == [
        "1", "3", "3", "1", "Z(I)",
    ]  # fmt: skip
    assert talk.words(query("DEALLOCATE a"), define, SYNC) == [
        "C(DEALLOCATE)", "Z(I)", "1", "Z(I)",
    ]  # fmt: skip
    assert talk.words(query("DISCARD ALL"), define, SYNC)[-2:] == ["1", "Z(I)"]


def test_a_simple_query_destroys_the_unnamed_statement(talk: Talk) -> None:
    talk(parse("SHOW VERSION"), SYNC, query("SHOW VERSION"))
    assert talk.words(bind(), SYNC) == ["E(26000)", "Z(I)"]


def test_a_parse_that_fails_destroys_the_unnamed_statement(talk: Talk) -> None:
    talk(parse("SHOW VERSION"), SYNC, parse("SHOW POLS"), SYNC)
    assert talk.words(bind(), SYNC) == ["E(26000)", "Z(I)"]


def test_parameter_types_may_be_declared(talk: Talk) -> None:
    assert talk.words(parse("SHOW VERSION", types=3), SYNC) == ["1", "Z(I)"]


def test_statements_are_bounded(talk: Talk) -> None:
    talk(*(parse("SHOW VERSION", f"s{number}") for number in range(MAX_STATEMENTS)), SYNC)
    assert talk.words(parse("SHOW VERSION", "more"), SYNC) == ["E(53400)", "Z(I)"]


def test_other_simple_messages(talk: Talk) -> None:
    assert talk.words(build(FrontendType.FUNCTION_CALL, b"\0" * 10)) == ["E(0A000)", "Z(I)"]
    assert talk.words(build(FrontendType.QUERY, b"no end")) == ["E(08P01)", "Z(I)"]
    assert talk.words(build(FrontendType.COPY_DATA, b"x"), build(FrontendType.COPY_DONE)) == []


def test_a_password_is_out_of_place(talk: Talk) -> None:
    message = Message(FrontendType.PASSWORD_MESSAGE, b"x\0")
    with pytest.raises(ClientProtocolError, match="invalid frontend message type 112"):
        list(talk.conversation.receive(message))


_kinds = st.sampled_from(
    [kind for kind in FrontendType if kind is not FrontendType.PASSWORD_MESSAGE]
)
_bodies = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"\0", b"S\0", b"P\0", b"\0SHOW VERSION\0\0\0", b"\0\0\0\0\0\0\0\0", b""]),
)


@given(st.lists(st.tuples(_kinds, _bodies), max_size=12))
def test_every_sync_is_answered_whatever_came_before(
    bench: Bench, sent: list[tuple[FrontendType, bytes]]
) -> None:
    talk = Talk(bench)
    for kind, body in sent:
        wire.messages(b"".join(talk.conversation.receive(Message(kind, body))))
    assert talk.words(SYNC)[-1] in ("Z(I)", "Z(T)")
