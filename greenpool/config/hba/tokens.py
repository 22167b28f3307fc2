"""Lines, fields and tokens of pg_hba.conf and pg_ident.conf, with their places, includes followed.

A line is a tuple of fields, which blanks separate; a field is a tuple of tokens, which commas
separate. A backslash at its end joins a line to the next; `#` begins a comment; in double quotes
blanks, commas and `#` are plain characters and two quotes stand for one.
`@name` as a token stands for all tokens of that file; `include`, `include_if_exists` and
`include_dir` as the first word of a line stand for the lines of other files. All of their names
are relative to the file they stand in.

Law: whatever the text, complaints are collected and reading goes on; nothing is raised.
Source: PostgreSQL `hba.c` (`next_token`, `next_field_expand`, `tokenize_auth_file`).
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from greenpool.config.tree import Mark

INLINE = ""
"""The file of marks in text that stands in the configuration itself."""

MAX_DEPTH = 10
"""PostgreSQL's CONF_FILE_MAX_DEPTH: files that include one another."""

Complaint = tuple[Mark, str]

_BLANKS = frozenset(" \t\r")
_DIRECTIVES = frozenset(("include", "include_if_exists", "include_dir"))


@dataclass(frozen=True, slots=True)
class Token:
    """A word; `is_quoted`: it began with a quote, and is a name even where it reads `all`."""

    text: str
    mark: Mark
    is_quoted: bool = False

    def is_keyword(self, word: str) -> bool:
        """Say whether this is the keyword, and not a name that looks like it."""
        return not self.is_quoted and self.text == word


Field = tuple[Token, ...]
Line = tuple[Field, ...]


class LineReader:
    """Reads text and files into lines. `complaints` has all that was wrong, in order."""

    def __init__(self) -> None:
        self.complaints: list[Complaint] = []

    def read_text(self, text: str, directory: Path) -> list[Line]:
        """Read text that stands in a file of that directory."""
        return list(self._lines(text, INLINE, directory, ()))

    def read_file(self, path: Path, named_at: Mark) -> list[Line]:
        """Read a file; `named_at` is to blame if that cannot be done. Blocks."""
        return list(self._file(path, named_at, ()))

    # ---- files -----------------------------------------------------------------------------

    def _file(self, path: Path, named_at: Mark, chain: tuple[str, ...]) -> Iterator[Line]:
        text = self._open(path, named_at, chain)
        if text is not None:
            yield from self._lines(text, str(path), path.parent, (*chain, os.path.realpath(path)))

    def _open(self, path: Path, named_at: Mark, chain: tuple[str, ...]) -> str | None:
        if os.path.realpath(path) in chain:
            self.complaints.append((named_at, f'"{path}" includes itself'))
        elif len(chain) >= MAX_DEPTH:
            what = f'cannot read "{path}": more than {MAX_DEPTH} files include one another'
            self.complaints.append((named_at, what))
        else:
            return self._read(path, named_at)
        return None

    def _read(self, path: Path, named_at: Mark) -> str | None:
        try:
            return path.read_text(encoding="utf-8-sig")
        except OSError as error:
            self.complaints.append((named_at, f'cannot read "{path}": {error.strerror}'))
        except ValueError as error:
            what = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else "is no file name"
            self.complaints.append((named_at, f'"{path}" {what}'))
        return None

    # ---- lines -----------------------------------------------------------------------------

    def _lines(
        self, text: str, file: str, directory: Path, chain: tuple[str, ...]
    ) -> Iterator[Line]:
        for logical in _joined(text, file):
            scanner = _Scanner(logical, self.complaints)
            fields = tuple(self._fields(scanner, directory, chain))
            if fields and fields[0] and _is_directive(fields[0][0]):
                yield from self._include(fields, directory, chain)
            elif fields:
                yield fields

    def _fields(
        self, scanner: _Scanner, directory: Path, chain: tuple[str, ...]
    ) -> Iterator[Field]:
        while tokens := scanner.field():
            field: list[Token] = []
            for token in tokens:
                if not token.is_quoted and len(token.text) > 1 and token.text[0] == "@":
                    field += self._names(token, directory, chain)
                else:
                    field.append(token)
            if field:  # a file of names may hold none; the rule then lacks a field
                yield tuple(field)

    def _names(self, token: Token, directory: Path, chain: tuple[str, ...]) -> Iterator[Token]:
        """Give all tokens of the file that `@name` means."""
        path = directory / token.text[1:]
        text = self._open(path, token.mark, chain)
        if text is None:
            return
        inner = (*chain, os.path.realpath(path))
        for logical in _joined(text, str(path)):
            scanner = _Scanner(logical, self.complaints)
            for field in self._fields(scanner, path.parent, inner):
                yield from field

    def _include(
        self, fields: tuple[Field, ...], directory: Path, chain: tuple[str, ...]
    ) -> Iterator[Line]:
        directive = fields[0][0]
        if len(fields) != 2 or len(fields[1]) != 1:
            self.complaints.append((directive.mark, f'"{directive.text}" takes one file name'))
            return
        name = fields[1][0]
        path = directory / name.text
        if directive.text == "include_dir":
            for each in self._directory(path, name.mark):
                yield from self._file(each, name.mark, chain)
        elif directive.text == "include" or os.path.lexists(path):
            yield from self._file(path, name.mark, chain)

    def _directory(self, path: Path, named_at: Mark) -> list[Path]:
        """Return what `include_dir` takes of a directory: *.conf but not .*, in order."""
        try:
            names = sorted(os.listdir(path))
        except OSError as error:
            self.complaints.append((named_at, f'cannot read "{path}": {error.strerror}'))
            return []
        chosen = [name for name in names if name.endswith(".conf") and not name.startswith(".")]
        return [path / name for name in chosen if not (path / name).is_dir()]


def _is_directive(token: Token) -> bool:
    return not token.is_quoted and token.text in _DIRECTIVES


@dataclass(frozen=True, slots=True)
class _Logical:
    """A line after joining; `starts` are the offsets where its physical lines begin."""

    text: str
    file: str
    first: int
    starts: tuple[int, ...]

    def mark(self, offset: int) -> Mark:
        index = bisect_right(self.starts, offset) - 1
        return Mark(self.file, self.first + index, offset - self.starts[index] + 1)


def _joined(text: str, file: str) -> Iterator[_Logical]:
    joined, starts, first = "", [0], 1
    for number, physical in enumerate(text.split("\n"), 1):
        joined += physical.rstrip("\r")
        if joined.endswith("\\") and len(joined) > starts[-1]:
            joined = joined[:-1]
            starts.append(len(joined))
            continue
        yield _Logical(joined, file, first, tuple(starts))
        joined, starts, first = "", [0], number + 1
    if joined:
        yield _Logical(joined, file, first, tuple(starts))


class _Scanner:
    """Cuts one logical line into fields."""

    def __init__(self, line: _Logical, complaints: list[Complaint]) -> None:
        self._line = line
        self._at = 0
        self._complaints = complaints
        if "\0" in line.text:
            complaints.append((line.mark(line.text.index("\0")), "a zero byte"))
            self._at = len(line.text)

    def field(self) -> list[Token]:
        """Return the next field; empty at the end of the line."""
        tokens: list[Token] = []
        goes_on = True
        while goes_on:
            token, goes_on = self._token()
            if token is None:
                break
            tokens.append(token)
        return tokens

    def _token(self) -> tuple[Token | None, bool]:
        """Return the next token, and whether a comma follows it."""
        text = self._line.text
        while self._at < len(text) and (text[self._at] in _BLANKS or text[self._at] == ","):
            self._at += 1
        begin, word, is_quoted, has_quotes = self._at, "", False, False
        while self._at < len(text) and text[self._at] not in _BLANKS:
            character = text[self._at]
            if character == "#":
                self._at = len(text)
                break
            self._at += 1
            if character == ",":
                return Token(word, self._line.mark(begin), is_quoted), True
            if character == '"':
                is_quoted = is_quoted or not word
                has_quotes = True
                word += self._quoted()
            else:
                word += character
        if not word and not has_quotes:
            return None, False
        return Token(word, self._line.mark(begin), is_quoted), False

    def _quoted(self) -> str:
        """Return what stands in quotes, up to the quote that is not doubled."""
        text, begin, word = self._line.text, self._at, ""
        while (end := text.find('"', self._at)) >= 0:
            word += text[self._at : end]
            self._at = end + 1
            if text[self._at : self._at + 1] != '"':
                return word
            word += '"'
            self._at += 1
        self._complaints.append((self._line.mark(begin - 1), "the quotes do not end"))
        word += text[self._at :]
        self._at = len(text)
        return word
