"""The neutral tree that YAML and TOML files become, and the list of what is wrong with it.

Law: nothing after this module knows which language a file was written in. Every node remembers
its place: a member of a mapping stands where its key stands, an item of a list where it begins.
Values may be secrets, so they never appear in a node's repr.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from greenpool.errors import ConfigError

Scalar: TypeAlias = "str | int | float | bool | None"
Value: TypeAlias = "Scalar | list[Node] | dict[str, Node]"


def is_unicode(text: str) -> bool:
    """Say whether text can be written as UTF-8: escapes and the environment allow for more."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def relative(self, name: str) -> Path:
        """Return the path that `name`, written in this file, means: relative to the file."""
        return Path(self.file).parent / name


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its place.

    `text` is the scalar as it was written without quotes (YAML), where that says more than the
    value does: `off`, `0x10`. None for anything quoted and for TOML.
    `expanded` says that environment variables were put in: then a string may be meant as a number.
    """

    value: Value = field(repr=False)
    mark: Mark
    text: str | None = field(default=None, repr=False)
    expanded: bool = False

    def describe(self) -> str:
        """Name the value for an error text: quoted if it is a scalar, otherwise by its kind."""
        if isinstance(self.value, dict):
            return "a mapping"
        if isinstance(self.value, list):
            return "a list"
        if isinstance(self.value, str):
            return f'"{self.value}"'
        if self.value is None:
            return "nothing"
        if isinstance(self.value, bool):
            return self.text or str(self.value).lower()
        return self.text or str(self.value)


class Problems:
    """Collects everything that is wrong, so that one run names it all."""

    def __init__(self) -> None:
        self._found: list[tuple[Mark, str, str]] = []
        self._files: list[str] = []

    def enter(self, file: str) -> None:
        """Note the order in which files are read: problems are listed in that order."""
        if file not in self._files:
            self._files.append(file)

    def add(self, mark: Mark, path: str, what: str) -> None:
        """Record one problem; `path` may be empty where no key is to blame."""
        self._found.append((mark, path, what))

    def blames(self, path: str) -> bool:
        """Say whether something is wrong at this path or below it."""
        below = (f"{path}.", f"{path}[")
        return any(found == path or found.startswith(below) for _, found, _ in self._found)

    def raise_if_any(self) -> None:
        """Raise ConfigError with every problem in the order of files, lines and columns."""
        if self._found:
            found = sorted(self._found, key=lambda each: self._position(each[0]))
            raise ConfigError(
                f"{mark}: {path}: {what}" if path else f"{mark}: {what}"
                for mark, path, what in found
            )

    def _position(self, mark: Mark) -> tuple[int, int, int]:
        order = self._files.index(mark.file) if mark.file in self._files else len(self._files)
        return order, mark.line, mark.column
