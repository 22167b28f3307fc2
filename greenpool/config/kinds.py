"""The kinds of plain values: how each is read from a node and shown.

A reader takes a node and its key, returns the value in the unit that the kind's suffix says, or
raises `Invalid`. Readers know nothing of other keys: cross checks are in checks.py.
The kinds for names, addresses and secrets are in named_kinds.py.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from greenpool.config import units
from greenpool.config.key import Invalid, Key, Kind
from greenpool.config.tree import Node

AUTO = "auto"
_INTEGER = re.compile(r"[-+]?[0-9]{1,20}", re.ASCII)
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
# PostgreSQL's names of settings, also those of extensions ("auto_explain.log_min_duration").
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)*", re.ASCII)
_OWN_PARAMETERS = frozenset(("user", "database", "replication", "options"))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean "x"?)` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f' (did you mean "{near[0]}"?)' if near else ""


def is_setting(name: str) -> bool:
    """Say whether PostgreSQL could have a setting of this name, which a client may bring."""
    is_own = name.lower() in _OWN_PARAMETERS or name.startswith("_pq_.")
    return not is_own and len(name) <= 63 and _PARAMETER.fullmatch(name) is not None


def text_of(node: Node, expected: str = "a string") -> str:
    """Return the node's string. Raises: Invalid, with a hint for what only lacks quotes."""
    if not isinstance(node.value, str):
        hint = "" if isinstance(node.value, dict | list) else " (put it in quotes)"
        raise Invalid(f"expected {expected}, found {node.describe()}{hint}")
    if "\0" in node.value:
        raise Invalid("must not contain a zero byte")
    return node.value


def integer_of(node: Node, expected: str = "a whole number") -> int:
    """Return the node's integer, also from text that came out of the environment."""
    if isinstance(node.value, int) and not isinstance(node.value, bool):
        return node.value
    if node.expanded and isinstance(node.value, str) and _INTEGER.fullmatch(node.value.strip()):
        return int(node.value)
    raise Invalid(f"expected {expected}, found {node.describe()}")


def _read_bool(node: Node, key: Key) -> bool:
    if isinstance(node.value, bool):
        return node.value
    if node.expanded and isinstance(node.value, str):
        value = _BOOLEANS.get(node.value.strip().lower())
        if value is not None:
            return value
    raise Invalid(f"expected true or false, found {node.describe()}")


def _read_int(node: Node, key: Key) -> int:
    return _bounded(integer_of(node), node, key)


def _read_duration(node: Node, key: Key) -> int:
    return _bounded(_quantity(node, "duration", '"250ms", "3s", "5m", "1h" or "2d"', 1), node, key)


def _read_seconds(node: Node, key: Key) -> int:
    """Read whole seconds; unlike elsewhere a bare number counts them, as in PgDoorman."""
    value_ms = _quantity(node, "duration", '"5s" or "1m"', units.MS_PER_S)
    if value_ms % units.MS_PER_S:
        raise Invalid(f"expected whole seconds, found {node.describe()}")
    return _bounded(value_ms // units.MS_PER_S, node, key)


def _read_size(node: Node, key: Key) -> int:
    return _bounded(_quantity(node, "size", '"64KB", "1MB" or "1G"', 0), node, key)


def _quantity(node: Node, noun: str, examples: str, bare_ms: int) -> int:
    """Read a duration in ms (or, with bare_ms 0, a size in bytes)."""
    value = node.value
    if isinstance(value, int) and not isinstance(value, bool):
        return value * (bare_ms or 1)
    if isinstance(value, str):
        try:
            if bare_ms:
                return units.parse_duration(value, bare_ms=bare_ms)
            return units.parse_size(value)
        except ValueError:
            pass  # reported below, with every other kind of wrong value
    raise Invalid(f"expected a {noun} such as {examples}, found {node.describe()}")


def _bounded(value: int, node: Node, key: Key) -> int:
    if key.bounds is None:
        return value
    low, high = key.bounds
    if not low <= value <= high:
        show = key.kind.show
        raise Invalid(f"{node.describe()} is out of range ({show(low)} to {show(high)})")
    return value


def _read_choice(node: Node, key: Key) -> StrEnum:
    assert key.choices is not None, key.name
    # A YAML `off` or `1.2` without quotes is a word here, not a boolean or a number.
    word = node.text or (node.value if isinstance(node.value, str) else None)
    words = [member.value for member in key.choices]
    if word in words:
        return key.choices(word)
    hint = did_you_mean(word, words) if word else ""
    raise Invalid(f"expected one of {', '.join(words)}, found {node.describe()}{hint}")


def _read_string(node: Node, key: Key) -> str:
    return text_of(node)


def _read_path(node: Node, key: Key) -> Path:
    name = text_of(node, "a path")
    if not name:
        raise Invalid("is empty")
    return node.mark.relative(name).absolute()


def _read_list(node: Node, key: Key) -> tuple[str, ...]:
    if not isinstance(node.value, list):
        raise Invalid(f"expected a list, found {node.describe()}")
    return tuple(text_of(item) for item in node.value)


def _read_workers(node: Node, key: Key) -> int:
    if node.value == AUTO:
        cores = len(os.sched_getaffinity(0))
        return min(cores, key.bounds[1]) if key.bounds else cores
    return _bounded(integer_of(node, f'a whole number or "{AUTO}"'), node, key)


def _read_mode(node: Node, key: Key) -> int:
    text = node.text or node.value
    if not isinstance(text, str) or not re.fullmatch(r"(0o)?[0-7]{3,4}", text):
        raise Invalid(f'expected an octal mode such as "0660", found {node.describe()}')
    mode = int(text, 8)
    if mode > 0o777:
        raise Invalid(f"{node.describe()} has bits beyond 0777")
    return mode


def _read_parameters(node: Node, key: Key) -> tuple[tuple[str, str], ...]:
    if not isinstance(node.value, dict):
        raise Invalid(f"expected a mapping of settings, found {node.describe()}")
    return tuple((name, _parameter(name, item)) for name, item in node.value.items())


def _parameter(name: str, node: Node) -> str:
    if name.lower() in _OWN_PARAMETERS or name.startswith("_pq_."):
        raise Invalid(f'"{name}" is part of the protocol and cannot be set here')
    if not is_setting(name):
        raise Invalid(f'"{name}" is not the name of a PostgreSQL setting')
    if isinstance(node.value, dict | list) or node.value is None:
        found = "nothing" if node.value is None else node.describe()
        raise Invalid(f'the value of "{name}" must be a string or a number, found {found}')
    value = node.value if isinstance(node.value, str) else node.text or str(node.value).lower()
    if "\0" in value:
        raise Invalid(f'the value of "{name}" must not contain a zero byte')
    return value


def _show_bool(value: bool) -> str:
    return "true" if value else "false"


def _show_seconds(value: int) -> str:
    return units.format_duration(value * units.MS_PER_S)


def _show_list(value: tuple[str, ...]) -> str:
    return ", ".join(value)


def _show_parameters(value: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name}={setting}" for name, setting in value)


BOOL = Kind("boolean", _read_bool, _show_bool)
INT = Kind("integer", _read_int)
DURATION = Kind("duration", _read_duration, units.format_duration, suffix="_ms")
SECONDS = Kind("duration in whole seconds", _read_seconds, _show_seconds, suffix="_s")
SIZE = Kind("size", _read_size, units.format_size, suffix="_bytes")
CHOICE = Kind("word", _read_choice)
STRING = Kind("string", _read_string)
PATH = Kind("path", _read_path)
LIST = Kind("list of strings", _read_list, _show_list, unset=())
WORKERS = Kind("integer or auto", _read_workers)
MODE = Kind("octal mode", _read_mode, "{:04o}".format)
PARAMETERS = Kind("mapping", _read_parameters, _show_parameters, unset=())
