"""SELECT, as far as drivers and tools say it by themselves when they connect.

    SELECT item, ... [FROM relation [[AS] alias]] [WHERE test [AND test]...] [LIMIT n]

    item   expression [[AS] name], *, alias.*
    test   [NOT] expression, or expression = | LIKE expression, or expression IN (expression, ...)

An expression is a literal, a column, or one of FUNCTIONS. psql asks pg_settings what TAB may
complete behind SHOW and SET; pgAdmin sets bytea_output by it and looks for its database.
Law: what is not understood to the last token is refused (0A000), never guessed at.
Partners: `chatter.py`, who plans it; `speaker.py`, who has asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from greenpool.admin.catalog import (
    FUNCTIONS,
    LITERALS,
    NOTHING,
    RELATIONS,
    WORDS,
    Function,
    Names,
    Relation,
    not_supported,
)
from greenpool.admin.lexer import Statement, Token, TokenKind, shown
from greenpool.admin.result import Plan, Row, Value
from greenpool.admin.speaker import Speaker
from greenpool.protocol.backend import BOOL, INT4, TEXT, Column, ColumnType
from greenpool.protocol.errors import ClientError, Severity, SqlState

_Columns = Mapping[str, Value]  # of a row that is looked at, by name
_INT4_MAX = (1 << 31) - 1
_MAX_DEPTH = 10
"""Of calls within calls."""


def plan(statement: Statement, speaker: Speaker, names: Names) -> Plan:
    """Understand a SELECT. Raises: ClientError for what is beyond this."""
    return _Parser(statement[1:], speaker, names).plan()


# ---- understanding --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Expression:
    column: Column
    value: Callable[[_Columns], Value]


_Test = Callable[[_Columns], bool]

_NAMES = (TokenKind.WORD, TokenKind.NAME)
_BARE = (TokenKind.WORD, TokenKind.SIGN)  # not in quotes
_KEYWORDS = frozenset(("and", "as", "from", "in", "like", "limit", "not", "where"))


class _Parser:
    """Reads one SELECT from its second token on: FROM first, because columns are known by it."""

    def __init__(self, tokens: Statement, speaker: Speaker, names: Names) -> None:
        self._speaker, self._names = speaker, names
        head = _items_end(tokens)
        self._tokens, self._pos = tokens[head:], 0
        self._alias = ""
        self._depth = 0
        self._relation = self._from() if self._accept("from") else NOTHING
        self._rest = self._tokens[self._pos :]
        self._tokens, self._pos = tokens[:head], 0

    def plan(self) -> Plan:
        items = self._items()
        self._tokens, self._pos = self._rest, 0
        tests = self._tests()
        limit = self._limit()
        if self._peek() is not None:
            raise self._beyond()
        speaker, names, relation = self._speaker, self._names, self._relation

        def rows() -> Iterator[Row]:
            for row in relation.rows(speaker, names):
                columns = dict(zip(relation.columns, row, strict=True))
                if all(test(columns) for test in tests):
                    yield tuple(item.value(columns) for item in items)

        return Plan("SELECT", tuple(item.column for item in items), lambda: islice(rows(), limit))

    # ---- clauses ---------------------------------------------------------------------------

    def _from(self) -> Relation:
        name = self._path()[-1]
        is_function = self._accept("(")
        if is_function:
            self._expect(")")
        if (name, is_function) not in RELATIONS:
            hint = "There are no tables here: SHOW HELP lists what there is."
            raise not_supported(f'SELECT from "{shown(name)}"', hint)
        self._alias = self._given_name() or name
        return RELATIONS[name, is_function]

    def _items(self) -> list[_Expression]:
        items = self._item()
        while self._accept(","):
            items += self._item()
        if self._peek() is not None:
            raise self._beyond()
        return items

    def _item(self) -> list[_Expression]:
        if self._accept("*") or self._accept(self._alias, ".", "*"):
            if self._relation is NOTHING:
                raise self._beyond()
            return [self._column(name) for name in self._relation.columns]
        item = self._expression()
        if name := self._given_name():
            return [_Expression(Column(name, item.column.type), item.value)]
        return [item]

    def _given_name(self) -> str:
        """Read `[AS] name`, if it is there."""
        is_asked = self._accept("as")
        token = self._peek()
        if token is not None and token.kind in _NAMES and (is_asked or not _is_keyword(token)):
            self._pos += 1
            return token.text
        if is_asked:
            raise self._beyond()
        return ""

    def _tests(self) -> list[_Test]:
        tests: list[_Test] = []
        if self._accept("where"):
            tests.append(self._test())
            while self._accept("and"):
                tests.append(self._test())
        return tests

    def _test(self) -> _Test:
        is_wanted = True
        while self._accept("not"):
            is_wanted = not is_wanted
        test = self._comparison()
        return lambda columns: test(columns) is is_wanted

    def _comparison(self) -> _Test:
        left = self._expression().value
        if self._accept("="):
            several = [self._expression()]
            return lambda columns: _is_among(left(columns), several, columns)
        if self._accept("like"):
            pattern = self._expression().value
            return lambda columns: _is_like(left(columns), pattern(columns))
        if self._accept("in"):
            several = self._arguments()
            return lambda columns: _is_among(left(columns), several, columns)
        return lambda columns: left(columns) is True

    def _limit(self) -> int | None:
        if not self._accept("limit"):
            return None
        token = self._next()
        if token.kind is not TokenKind.NUMBER or not token.text.isdecimal():
            raise self._beyond()
        return int(token.text[:9])

    # ---- expressions -----------------------------------------------------------------------

    def _expression(self) -> _Expression:
        token = self._peek()
        if token is None:
            raise self._beyond()
        if token.kind in _NAMES:
            return self._named()
        self._pos += 1
        if token.kind is TokenKind.STRING:
            return _literal(TEXT, token.text)
        if token.kind is TokenKind.NUMBER and token.text.isdecimal():
            number = int(token.text[:10])
            if number <= _INT4_MAX:
                return _literal(INT4, number)
        raise self._beyond()

    def _named(self) -> _Expression:
        """Read what begins with a name: a function's call, a word with a meaning, or a column."""
        token = self._tokens[self._pos]
        path = self._path()
        *schema, name = path
        is_word = token.kind is TokenKind.WORD and not schema
        if self._peek() == _OPEN:
            if schema not in ([], ["pg_catalog"]) or name not in FUNCTIONS:
                raise not_supported(f'function "{shown(".".join(path))}"')
            return self._call(name, FUNCTIONS[name], self._arguments())
        if is_word and name in LITERALS:
            return _literal(*LITERALS[name])
        if is_word and name in WORDS:
            return self._call(name, WORDS[name], [])
        if schema not in ([], [self._alias]) or name not in self._relation.columns:
            message = f'column "{shown(".".join(path))}" does not exist'
            raise ClientError(Severity.ERROR, SqlState.UNDEFINED_COLUMN, message)
        return self._column(name)

    def _call(self, name: str, function: Function, given: list[_Expression]) -> _Expression:
        if len(given) not in function.arguments:
            raise not_supported(f'function "{name}" with {len(given)} arguments')
        speaker = self._speaker

        def value(columns: _Columns) -> Value:
            arguments = [each.value(columns) for each in given]
            return None if None in arguments else function.call(speaker, *arguments)

        return _Expression(Column(name, function.type), value)

    def _column(self, name: str) -> _Expression:
        return _Expression(
            Column(name, self._relation.columns[name]), lambda columns: columns[name]
        )

    def _arguments(self) -> list[_Expression]:
        self._expect("(")
        if self._accept(")"):
            return []
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._beyond()
        given = [self._expression()]
        while self._accept(","):
            given.append(self._expression())
        self._depth -= 1
        self._expect(")")
        return given

    # ---- tokens ----------------------------------------------------------------------------

    def _path(self) -> list[str]:
        """Read `name[.name]...`."""
        names = [self._name()]
        while self._accept("."):
            names.append(self._name())
        return names

    def _name(self) -> str:
        token = self._next()
        if token.kind not in _NAMES:
            raise self._beyond()
        return token.text

    def _peek(self) -> Token | None:
        return self._tokens[self._pos] if self._pos < len(self._tokens) else None

    def _next(self) -> Token:
        token = self._peek()
        if token is None:
            raise self._beyond()
        self._pos += 1
        return token

    def _accept(self, *texts: str) -> bool:
        end = self._pos + len(texts)
        there = self._tokens[self._pos : end]
        if tuple(token.text if token.kind in _BARE else None for token in there) != texts:
            return False
        self._pos = end
        return True

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._beyond()

    def _beyond(self) -> ClientError:
        token = self._peek()
        where = f' at or near "{shown(token.text)}"' if token is not None else ""
        return not_supported("this SELECT", f"It was not understood{where}. SHOW HELP lists more.")


_OPEN = Token(TokenKind.SIGN, "(")
_BEHIND_ITEMS = frozenset(Token(TokenKind.WORD, text) for text in ("from", "where", "limit"))
_DEPTHS = {_OPEN: 1, Token(TokenKind.SIGN, ")"): -1}


def _items_end(tokens: Statement) -> int:
    """Return where the items end: at the first of the other clauses outside of all parentheses."""
    depth = 0
    for pos, token in enumerate(tokens):
        depth += _DEPTHS.get(token, 0)
        if token in _BEHIND_ITEMS and depth == 0:
            return pos
    return len(tokens)


def _is_keyword(token: Token) -> bool:
    return token.kind is TokenKind.WORD and token.text in _KEYWORDS


def _literal(kind: ColumnType, value: Value) -> _Expression:
    name = "bool" if kind is BOOL else "?column?"
    return _Expression(Column(name, kind), lambda columns: value)


def _is_among(value: Value, several: list[_Expression], columns: _Columns) -> bool:
    return value is not None and value in [each.value(columns) for each in several]


def _is_like(text: Value, pattern: Value) -> bool:
    """Compare as LIKE does: _ is any character, a backslash takes what follows as it is.

    % stands at the end only, as psql has it: anything else would be a search that takes its time.
    """
    pieces = re.findall(r"(?s)\\.|.", str(pattern))
    if "%" in pieces[:-1]:
        raise not_supported("LIKE with a % that is not the last character")
    is_open = pieces[-1:] == ["%"]
    if is_open:
        pieces.pop()
    chars = str(text)
    if len(chars) < len(pieces) or (len(chars) > len(pieces) and not is_open):
        return False
    pairs = zip(pieces, chars[: len(pieces)], strict=True)
    return all(each == "_" or each[-1] == char for each, char in pairs)
