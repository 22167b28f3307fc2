"""SQL text to tokens."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenpool.admin.lexer import Statement, Token, TokenKind, shown, statements
from greenpool.protocol.errors import ClientError

WORD, NAME, STRING, NUMBER, SIGN = TokenKind


def words(*texts: str) -> Statement:
    return tuple(Token(WORD, text) for text in texts)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("", []),
        (" ;; \n;", []),
        ("-- nothing", []),
        ("show pools", [words("show", "pools")]),
        ("Show POOLS;", [words("show", "pools")]),
        ("show/**/pools", [words("show", "pools")]),
        ("/* a /* b */ c */ show pools -- now\n;", [words("show", "pools")]),
        ("show pools; show stats", [words("show", "pools"), words("show", "stats")]),
        ("show\tpools\r\n;", [words("show", "pools")]),
        ("a 'It''s; --' ", [(Token(WORD, "a"), Token(STRING, "It's; --"))]),
        ('a "No ""q"" /*"', [(Token(WORD, "a"), Token(NAME, 'No "q" /*'))]),
        ("x=3", [(Token(WORD, "x"), Token(SIGN, "="), Token(NUMBER, "3"))]),
        ("- -", [(Token(SIGN, "-"), Token(SIGN, "-"))]),
    ],
)
def test_statements_are_cut_into_tokens(sql: str, expected: list[Statement]) -> None:
    assert statements(sql) == expected


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("show 'pools", 'unterminated quoted string at or near "\'pools"'),
        ("show '''", 'unterminated quoted string at or near "\'"'),
        ('show "pools', 'unterminated quoted identifier at or near ""pools"'),
        ("show /* pools", 'unterminated /* comment at or near "/* pools"'),
        ("/* /* */ show", 'unterminated /* comment at or near "/* /* */ show"'),
    ],
)
def test_what_does_not_end_is_refused(sql: str, message: str) -> None:
    with pytest.raises(ClientError, match="unterminated") as caught:
        statements(sql)
    assert caught.value.sqlstate == "42601"
    if "'''" not in sql:
        assert caught.value.message == message


def test_long_and_unprintable_text_is_not_repeated() -> None:
    assert shown("a\0\x1b\udc80é") == "a???é"
    assert shown("x" * 64) == "x" * 64
    assert shown("x" * 5000) == "x" * 64 + "..."


@given(st.text())
def test_any_text_is_cut_or_refused(sql: str) -> None:
    with suppress(ClientError):
        assert all(statements(sql))
