"""The kinds of values that are rules: text in place, {path: ...} or {content: ...}."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from greenpool.config.hba.ident import parse_ident
from greenpool.config.hba.parse import parse_hba
from greenpool.config.hba.rule import HbaRules, IdentRules
from greenpool.config.hba.tokens import INLINE, Complaint, Line, LineReader
from greenpool.config.key import Invalid, Key, Kind
from greenpool.config.kinds import text_of
from greenpool.config.tree import Mark, Node

T = TypeVar("T")


class InvalidRules(Invalid):
    """All that is wrong with rules, each with its place."""

    def __init__(self, complaints: list[Complaint]) -> None:
        super().__init__("; ".join(what for _, what in complaints))
        self._complaints = complaints

    def each(self, mark: Mark) -> list[tuple[Mark, str]]:
        """Return places and words; text in place is where its key is, and has its own lines."""
        return [
            (mark, f"line {place.line}, column {place.column}: {what}")
            if place.file == INLINE
            else (place, what)
            for place, what in self._complaints
        ]


def _read_hba(node: Node, key: Key) -> HbaRules:
    directory = _directory_of(node)
    rules = _read(node, lambda lines, complaints: parse_hba(lines, directory, complaints))
    if not rules:
        raise Invalid("contains no entries: nobody could log in")
    return rules


def _read_ident(node: Node, key: Key) -> IdentRules:
    return _read(node, parse_ident)


def _read(node: Node, parse: Callable[[list[Line], list[Complaint]], T]) -> T:
    reader = LineReader()
    if not isinstance(node.value, dict):
        lines = reader.read_text(_text_of(node), _directory_of(node))
    elif len(node.value) == 1 and node.value.keys() <= {"path", "content"}:
        (name, value), *_ = node.value.items()
        if name == "content":
            lines = reader.read_text(text_of(value), _directory_of(node))
        else:
            path = node.mark.relative(text_of(value)).absolute()
            lines = reader.read_file(path, value.mark)
    else:
        raise Invalid("expected rules, {path: ...} or {content: ...}")
    parsed = parse(lines, reader.complaints)
    if reader.complaints:
        raise InvalidRules(reader.complaints)
    return parsed


def _text_of(node: Node) -> str:
    return text_of(node, "rules, {path: ...} or {content: ...}")


def _directory_of(node: Node) -> Path:
    return node.mark.relative(".").absolute()


def _show(rules: tuple[object, ...]) -> str:
    return f"{len(rules)} rule{'' if len(rules) == 1 else 's'}"


HBA = Kind("text or mapping", _read_hba, _show)
IDENT = Kind("text or mapping", _read_ident, _show, unset=())
