"""The kinds of values that are rules: text in place, {path: ...} or {content: ...}."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from greenpool.config.hba.ident import parse_ident
from greenpool.config.hba.options import missing_package, read_options
from greenpool.config.hba.parse import parse_hba
from greenpool.config.hba.patterns import Wrong
from greenpool.config.hba.rule import ConnectionType, HbaMethod, HbaRules, IdentRules
from greenpool.config.hba.tokens import INLINE, Complaint, Line, LineReader
from greenpool.config.key import Invalid, Key, Kind
from greenpool.config.kinds import text_of
from greenpool.config.named_kinds import MASK
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


def _read_ldap(node: Node, key: Key) -> Mapping[str, str]:
    """Read what would stand behind `ldap` in a rule."""
    reader = LineReader()
    lines = reader.read_text(text_of(node, "options of the method ldap"), _directory_of(node))
    tokens = [token for line in lines for field in line for token in field]
    try:
        options = read_options(tokens, ConnectionType.LOCAL, HbaMethod.LDAP, Mark(INLINE, 1, 1))
    except Wrong as wrong:
        reader.complaints.append((wrong.mark, wrong.what))
    if reader.complaints:
        raise InvalidRules(reader.complaints)
    if missing := missing_package(HbaMethod.LDAP):
        raise Invalid(missing)
    return options


def _read_pam(node: Node, key: Key) -> str:
    if missing := missing_package(HbaMethod.PAM):
        raise Invalid(missing)
    if not (service := text_of(node, "the name of a PAM service")):
        raise Invalid("is empty")
    return service


HBA = Kind("text or mapping", _read_hba, _show)
IDENT = Kind("text or mapping", _read_ident, _show, unset=())
LDAP = Kind("options of the method ldap", _read_ldap, lambda _: MASK, is_secret=True)
PAM = Kind("name of a PAM service", _read_pam)
