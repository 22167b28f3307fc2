"""SQL text to statements of tokens: as much of PostgreSQL's lexical rules as the console needs.

Comments (`--`, nested `/* */`), quoted names and strings, `;` between statements. Anything else
that is no word and no number is a sign of one character, for the parser to refuse.
Source: "SQL Syntax > Lexical Structure".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from greenpool.protocol.errors import ClientError, Severity, SqlState

SHOWN_CHARS = 64
"""Longest piece of a client's text that is repeated to it in an error."""


class TokenKind(Enum):
    """What a token is; the value has no meaning."""

    WORD = auto()  # text in lower case
    NAME = auto()  # "quoted": text as written, without the quotes
    STRING = auto()  # 'quoted': likewise
    NUMBER = auto()
    SIGN = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of a statement, in the form in which it is compared."""

    kind: TokenKind
    text: str


Statement = tuple[Token, ...]

_SKIPPED = re.compile(r"\s+|--[^\r\n]*")
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_PATTERNS = (
    (TokenKind.WORD, re.compile(r"[^\W\d][\w$]*")),
    (TokenKind.NUMBER, re.compile(r"\d+(?:\.\d*)?")),
    (TokenKind.STRING, re.compile(r"'(?:[^']|'')*'")),
    (TokenKind.NAME, re.compile(r'"(?:[^"]|"")*"')),
    (TokenKind.SIGN, re.compile(r"(?s:.)")),
)


def syntax_error(message: str, hint: str | None = None) -> ClientError:
    """Make the ERROR for text that the console does not understand."""
    return ClientError(Severity.ERROR, SqlState.SYNTAX_ERROR, message, hint)


def shown(text: str) -> str:
    """Make a piece of a client's text fit for an error message: short and printable."""
    clean = "".join(char if char.isprintable() else "?" for char in text[: SHOWN_CHARS + 1])
    return clean if len(clean) <= SHOWN_CHARS else clean[:SHOWN_CHARS] + "..."


def statements(sql: str) -> list[Statement]:
    """Cut a query string into its statements, empty ones left out.

    Raises: ClientError for a quoted string, a quoted name or a comment that does not end.
    """
    found: list[Statement] = []
    tokens: list[Token] = []
    pos = _skip(sql, 0)
    while pos < len(sql):
        token, pos = _token(sql, pos)
        if token == _SEMICOLON:
            found.append(tuple(tokens))
            tokens = []
        else:
            tokens.append(token)
        pos = _skip(sql, pos)
    found.append(tuple(tokens))
    return [statement for statement in found if statement]


_SEMICOLON = Token(TokenKind.SIGN, ";")


def _skip(sql: str, pos: int) -> int:
    """Return the position after white space and comments."""
    while True:
        if sql.startswith("/*", pos):
            pos = _comment_end(sql, pos)
        elif blank := _SKIPPED.match(sql, pos):
            pos = blank.end()
        else:
            return pos


def _comment_end(sql: str, start: int) -> int:
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    raise syntax_error(f'unterminated /* comment at or near "{shown(sql[start:])}"')


def _token(sql: str, pos: int) -> tuple[Token, int]:
    for kind, pattern in _PATTERNS:
        if match := pattern.match(sql, pos):
            return Token(kind, _text(kind, match[0], sql[pos:])), match.end()
    raise AssertionError("a sign matches any character")


def _text(kind: TokenKind, written: str, rest: str) -> str:
    if kind is TokenKind.WORD:
        return written.lower()
    if kind in (TokenKind.STRING, TokenKind.NAME):
        quote = written[0]
        return written[1:-1].replace(quote * 2, quote)
    if written in ("'", '"'):
        what = "string" if written == "'" else "identifier"
        raise syntax_error(f'unterminated quoted {what} at or near "{shown(rest)}"')
    return written
