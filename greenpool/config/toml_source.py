"""TOML text -> neutral tree: tomllib for the values, toml_marks for their places."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from greenpool.config.toml_marks import Path, Position, scan_marks
from greenpool.config.tree import Mark, Node, Problems, Value

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
# tomllib's words for what is a duplicate key to everyone else.
_DUPLICATE = re.compile(r"Cannot (?:overwrite a value|declare .* twice|mutate immutable .*)")


def read_toml(text: str, file: str, problems: Problems) -> Node:
    """Return the root node; on a syntax error record it and return an empty root."""
    text = text.replace("\r\n", "\n")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problems.add(_place(str(error), text, file), "", _reason(str(error)))
        return Node({}, Mark(file, 1, 1))
    except ValueError as error:  # a number of thousands of digits; tomllib does not say where
        problems.add(Mark(file, 1, 1), "", str(error))
        return Node({}, Mark(file, 1, 1))
    return _node(values, (), scan_marks(text), Mark(file, 1, 1))


def _node(value: Any, path: Path, marks: dict[Path, Position], parent: Mark) -> Node:
    mark = Mark(parent.file, *marks[path]) if path in marks else parent
    converted: Value
    if isinstance(value, dict):
        converted = {key: _node(item, (*path, key), marks, mark) for key, item in value.items()}
    elif isinstance(value, list):
        converted = [_node(item, (*path, i), marks, mark) for i, item in enumerate(value)]
    elif isinstance(value, str | bool | int | float):
        converted = value
    else:
        converted = str(value)  # dates and times: no key takes one
    return Node(converted, mark)


def _place(message: str, text: str, file: str) -> Mark:
    match = _PLACE.search(message)
    if match is not None and match[1] is not None:
        return Mark(file, int(match[1]), int(match[2]))
    last = text.rsplit("\n", 1)[-1]
    return Mark(file, text.count("\n") + 1, len(last) + 1)


def _reason(message: str) -> str:
    reason = _PLACE.sub("", message)
    if _DUPLICATE.fullmatch(reason):
        return "duplicate key"
    return reason[:1].lower() + reason[1:]
