"""YAML text -> neutral tree.

PyYAML only composes: its node graph keeps the marks. Scalars are resolved here, more narrowly
than YAML 1.1 does (no octal, hexadecimal, sexagesimal numbers and no dates), because `0600` and
`1:30` in a configuration are never meant as numbers. Merge keys (`<<`), anchors and explicit
string tags work; other tags are refused.
"""

from __future__ import annotations

import re

import yaml
from yaml.constructor import SafeConstructor

from greenpool.config.tree import Mark, Node, Problems, Scalar, Value, is_unicode

_TAG = "tag:yaml.org,2002:"
_KNOWN_TAGS = frozenset(
    _TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")
)
_NULL = frozenset(("", "~", "null"))
_BOOL = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,29})", re.ASCII)  # longer ones are no number of ours
_FLOAT = re.compile(r"[-+]?[0-9]+\.[0-9]*([eE][-+]?[0-9]+)?", re.ASCII)


def read_yaml(text: str, file: str, problems: Problems) -> Node:
    """Return the root node; on a syntax error record it and return an empty root."""
    start = Mark(file, 1, 1)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.add(_mark(file, mark) if mark else start, "", error.problem or "not valid YAML")
        return Node({}, start)
    except yaml.YAMLError as error:
        # Characters that YAML forbids; PyYAML gives an offset, not a line.
        position = getattr(error, "position", 0)
        line = text.count("\n", 0, position) + 1
        column = position - text.rfind("\n", 0, position)
        problems.add(Mark(file, line, column), "", f"not valid YAML: {_reason(error)}")
        return Node({}, start)
    if root is None:
        return Node({}, start)
    return _Converter(file, problems).node(root, start)


class _Converter:
    """Turns composed nodes into ours; each composed node once, however often it is aliased."""

    def __init__(self, file: str, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        self._done: dict[int, Value] = {}
        self._open: set[int] = set()

    def node(self, composed: yaml.Node, mark: Mark) -> Node:
        text = composed.value if _is_plain(composed) else None
        return Node(self._value(composed), mark, text)

    def _value(self, composed: yaml.Node) -> Value:
        key = id(composed)
        if key in self._open:
            self._blame(composed, "an alias must not contain itself")
            return None
        if key not in self._done:
            self._open.add(key)
            self._done[key] = self._convert(composed)
            self._open.remove(key)
        return self._done[key]

    def _convert(self, composed: yaml.Node) -> Value:
        if composed.tag not in _KNOWN_TAGS:
            self._blame(composed, f'unknown tag "{composed.tag}"')
            return None
        if isinstance(composed, yaml.ScalarNode) and not is_unicode(composed.value):
            self._blame(composed, "not valid Unicode")
            return None
        if isinstance(composed, yaml.MappingNode):
            return self._mapping(composed)
        if isinstance(composed, yaml.SequenceNode):
            return [self.node(item, _mark(self._file, item.start_mark)) for item in composed.value]
        return _scalar(composed.value) if _is_plain(composed) else str(composed.value)

    def _mapping(self, composed: yaml.MappingNode) -> dict[str, Node]:
        self._refuse_duplicates(composed)
        try:
            # Merge keys: the merged pairs come first, so that the mapping's own win below.
            SafeConstructor().flatten_mapping(composed)
        except yaml.MarkedYAMLError as error:
            self._blame(composed, error.problem or "not a valid merge key")
            return {}
        members: dict[str, Node] = {}
        for key, value in composed.value:
            if isinstance(key, yaml.ScalarNode) and is_unicode(key.value):
                members[key.value] = self.node(value, _mark(self._file, key.start_mark))
        return members

    def _refuse_duplicates(self, composed: yaml.MappingNode) -> None:
        seen: dict[str, int] = {}
        for key, _ in composed.value:
            if not isinstance(key, yaml.ScalarNode) or not is_unicode(key.value):
                self._blame(key, "a key must be a plain name")
            elif key.value in seen:
                line = seen[key.value]
                self._blame(key, f'duplicate key "{key.value}" (first given in line {line})')
            else:
                seen[key.value] = key.start_mark.line + 1

    def _blame(self, composed: yaml.Node, what: str) -> None:
        self._problems.add(_mark(self._file, composed.start_mark), "", what)


def _is_plain(composed: yaml.Node) -> bool:
    """Say whether this is a scalar without quotes, block style or explicit `!!str`."""
    if not isinstance(composed, yaml.ScalarNode) or composed.style is not None:
        return False
    # PyYAML tags `12` as int; if it says str all the same, the file did.
    return bool(composed.tag != _TAG + "str") or isinstance(_scalar(composed.value), str)


def _scalar(text: str) -> Scalar:
    folded = text.lower()
    if folded in _NULL:
        return None
    if folded in _BOOL:
        return _BOOL[folded]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _reason(error: yaml.YAMLError) -> str:
    return str(getattr(error, "reason", error))


def _mark(file: str, mark: yaml.Mark) -> Mark:
    return Mark(file, mark.line + 1, mark.column + 1)
