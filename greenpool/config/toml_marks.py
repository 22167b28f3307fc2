"""Where each key of a TOML document stands.

tomllib gives values without positions. This scanner walks a document that tomllib has already
accepted, so it checks nothing: it only follows the grammar far enough to know where keys and
items begin. A path is a tuple of keys and list indices, as one would subscript tomllib's result.

Source: toml.io v1.0.0, "Keys", "String", "Array", "Inline Table", "Array of Tables".
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import TypeAlias

Path: TypeAlias = "tuple[str | int, ...]"
Position: TypeAlias = "tuple[int, int]"  # line, column; both from 1

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY_PART = re.compile(r"""[ \t]*(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)[ \t]*""")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
)
_BARE_VALUE = re.compile(r"[^,\]}#\n]*")


def scan_marks(text: str) -> dict[Path, Position]:
    """Return the position of every key, table header and list item of a valid document."""
    return _Scanner(text).document()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._marks: dict[Path, Position] = {}
        self._table_count: dict[Path, int] = {}  # of [[arrays of tables]]

    def document(self) -> dict[Path, Position]:
        table: Path = ()
        self._skip_blank()
        while self._at < len(self._text):
            table = self._header() if self._peek("[") else table
            self._skip_blank()
            if self._at < len(self._text) and not self._peek("["):
                self._pair(table)
                self._skip_blank()
        return self._marks

    def _header(self) -> Path:
        start = self._at
        is_array = self._text.startswith("[[", start)
        self._at += 2 if is_array else 1
        names = self._key()
        self._at += 2 if is_array else 1
        path = self._enter(names[:-1])
        for depth in range(1, len(path) + 1):
            self._mark(path[:depth], start)
        path = (*path, names[-1])
        self._mark(path, start)
        if is_array:
            index = self._table_count.get(path, 0)
            self._table_count[path] = index + 1
            path = (*path, index)
            self._mark(path, start)
        elif path in self._table_count:
            path = self._enter(names)
        return path

    def _enter(self, names: list[str]) -> Path:
        """Follow names from the root; through an array of tables the way leads to its last one."""
        path: Path = ()
        for name in names:
            path = (*path, name)
            if path in self._table_count:
                path = (*path, self._table_count[path] - 1)
        return path

    def _pair(self, table: Path) -> None:
        start = self._at
        path = table
        for name in self._key():
            path = (*path, name)
            self._mark(path, start)
        self._at += 1  # =
        self._skip_blank()
        self._value(path)

    def _key(self) -> list[str]:
        names: list[str] = []
        while True:
            part = self._match(_KEY_PART).strip()
            # A quoted key is a string value in disguise: let tomllib unescape it.
            names.append(tomllib.loads(f"k = {part}")["k"] if part[0] in "\"'" else part)
            if not self._peek("."):
                return names
            self._at += 1

    def _value(self, path: Path) -> None:
        if self._peek("["):
            self._array(path)
        elif self._peek("{"):
            self._inline_table(path)
        elif self._peek('"') or self._peek("'"):
            self._match(_STRING)
        else:
            self._match(_BARE_VALUE)

    def _array(self, path: Path) -> None:
        self._at += 1
        self._skip_blank()
        index = 0
        while not self._peek("]"):
            item = (*path, index)
            self._mark(item, self._at)
            self._value(item)
            self._skip_separator()
            index += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        self._skip_blank()
        while not self._peek("}"):
            self._pair(path)
            self._skip_separator()
        self._at += 1

    def _skip_separator(self) -> None:
        self._skip_blank()
        if self._peek(","):
            self._at += 1
            self._skip_blank()

    def _skip_blank(self) -> None:
        self._match(_BLANK)

    def _peek(self, character: str) -> bool:
        return self._text.startswith(character, self._at)

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise AssertionError(f"not TOML at offset {self._at}: the caller checks that first")
        self._at = match.end()
        return match[0]

    def _mark(self, path: Path, offset: int) -> None:
        if path not in self._marks:
            line = bisect_right(self._line_starts, offset)
            self._marks[path] = (line, offset - self._line_starts[line - 1] + 1)
