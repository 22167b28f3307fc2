"""What auth_query's answer says, and what is no answer."""

from __future__ import annotations

import struct

import pytest

from greenpool.auth.auth_query import AuthQueryError, FoundRow, read_answer, request, secret_of
from greenpool.auth.secret import Md5Hash, ScramSecret, build_scram_secret, derive_keys
from greenpool.protocol.body import Body
from greenpool.protocol.frame import FrameReader
from greenpool.protocol.message import BackendType, FrontendType, Message, cstring

MD5 = "md5" + "a" * 32
SCRAM = build_scram_secret("pencil", b"salt" * 4).text()


def description(*names: str) -> Message:
    columns = b"".join(cstring(name) + bytes(18) for name in names)
    return Message(BackendType.ROW_DESCRIPTION, struct.pack("!H", len(names)) + columns)


def row(*values: str | None) -> Message:
    columns = (
        struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value.encode()
        for value in values
    )
    return Message(BackendType.DATA_ROW, struct.pack("!H", len(values)) + b"".join(columns))


def answer(names: str, *rows: tuple[str | None, ...]) -> FoundRow | None:
    done = Message(BackendType.COMMAND_COMPLETE, cstring(f"SELECT {len(rows)}"))
    return read_answer([description(*names.split()), *(row(*each) for each in rows), done])


def test_request_asks_with_the_user_as_a_parameter():
    messages = list(FrameReader(FrontendType).feed(request("select $1", "o'ne")))
    assert [each.type.name for each in messages] == ["PARSE", "BIND", "DESCRIBE", "EXECUTE", "SYNC"]
    parse, bind = Body(messages[0].body), Body(messages[1].body)
    assert (parse.cstring(), parse.cstring(), parse.u16()) == ("", "select $1", 0)
    assert (bind.cstring(), bind.cstring(), bind.u16(), bind.u16()) == ("", "", 0, 1)
    assert (bind.take(bind.i32()), bind.u16()) == (b"o'ne", 0)


@pytest.mark.parametrize(
    ("names", "values"),
    [
        ("passwd", (MD5,)),
        ("password", (MD5,)),
        ("usename passwd valuntil", ("ann", MD5, "x")),
        ("rolpassword", (MD5,)),
        ("rolname case", ("ann", MD5)),  # as PgBouncer's own default query
        ("case startup_parameters", (MD5, "{}")),
    ],
)
def test_secret_is_found_by_name_or_alone(names, values):
    found = answer(names, values)
    assert found is not None
    assert found.password == MD5


def test_no_row_is_no_user_and_null_is_no_password():
    assert answer("passwd") is None
    assert answer("passwd", (None,)) == FoundRow(None, {})


def test_parameters_are_a_json_object():
    text = '{"work_mem": "5MB", "app.x": "\\u00e9", "statement_timeout": 500, "jit": false}'
    found = answer("passwd startup_parameters", (MD5, text))
    assert found is not None
    expected = {"work_mem": "5MB", "app.x": "é", "statement_timeout": "500", "jit": "false"}
    assert found.parameters == expected
    assert answer("startup_parameters passwd", (None, MD5)) == FoundRow(MD5, {})


@pytest.mark.parametrize(
    ("names", "rows", "problem"),
    [
        ("a b c", [], 'no column "passwd" or "password"'),
        ("startup_parameters", [], 'no column "passwd" or "password"'),
        ("", [], 'no column "passwd" or "password"'),
        ("passwd", [(MD5,), (MD5,)], "returns 2 rows"),
        ("passwd startup_parameters", [(MD5, "{")], "is not JSON"),
        ("passwd startup_parameters", [(MD5, "[]")], "is not an object"),
        ("passwd startup_parameters", [(MD5, '{"user": "x"}')], "'user' is not the name"),
        ("passwd startup_parameters", [(MD5, '{"a b": "x"}')], "'a b' is not the name"),
        ("passwd startup_parameters", [(MD5, '{"a": {}}')], 'value of "a" is none'),
        ("passwd startup_parameters", [(MD5, '{"a": null}')], 'value of "a" is none'),
        ("passwd startup_parameters", [(MD5, '{"a": "\\u0000"}')], 'value of "a" is none'),
        ("passwd startup_parameters", [(MD5, '{"a": "' + "x" * 2000 + '"}')], "too long"),
    ],
)
def test_what_is_no_answer_is_refused_and_shows_no_value(names, rows, problem):
    with pytest.raises(AuthQueryError, match=problem) as caught:
        answer(names, *rows)
    assert MD5 not in str(caught.value)


@pytest.mark.parametrize("cut", range(4))
def test_torn_answer_is_refused(cut):
    with pytest.raises(AuthQueryError, match="cannot be read"):
        read_answer([Message(BackendType.DATA_ROW, row("abc").body[: cut + 1])])


def test_plain_password_does_not_outlive_its_secret():
    secret = secret_of(FoundRow("pencil", {}), "ann", b"boot", derive_keys, 5000)
    assert isinstance(secret, ScramSecret)
    assert secret.iterations == 5000
    assert secret_of(FoundRow(MD5, {}), "ann", b"boot", derive_keys, 1) == Md5Hash(MD5)
    stored = secret_of(FoundRow(SCRAM, {}), "ann", b"boot", derive_keys, 1)
    assert isinstance(stored, ScramSecret)
    assert stored.text() == SCRAM
    assert secret_of(FoundRow("", {}), "ann", b"boot", derive_keys, 1) is None
    assert "pencil" not in repr(FoundRow("pencil", {}))


def test_broken_secret_is_refused_and_not_shown():
    with pytest.raises(AuthQueryError) as caught:
        secret_of(FoundRow("SCRAM-SHA-256$hush", {}), "ann", b"boot", derive_keys, 1)
    assert "hush" not in str(caught.value)
