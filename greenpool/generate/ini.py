"""pgbouncer.ini -> sections of settings, with their places; `%include` is followed.

Law: syntax only; what settings mean is in `pgbouncer.py`.
Source: PgBouncer's documentation, "Generic settings", "Section [databases]", "Include directive".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from greenpool.errors import ConfigError
from greenpool.generate.lines import read_lines

_SECTION = re.compile(r"\[\s*([^]]*?)\s*\]$")
_SETTING = re.compile(r'("(?:[^"]|"")*"|[^\s="]+)\s*=\s*(.*)$')
_PAIR = re.compile(r"\s*([A-Za-z_]+)\s*=\s*('(?:[^']|'')*'|[^\s']*)\s*")
_INCLUDE = "%include"
_DEPTH = 10
"""As deep as PgBouncer follows files that include files."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and where it stands: `file:line`."""

    value: str = field(repr=False)
    place: str


@dataclass(frozen=True, slots=True)
class Ini:
    """Sections by name, settings by theirs; of a setting that is there twice the last."""

    sections: Mapping[str, Mapping[str, Setting]]

    def section(self, name: str) -> Mapping[str, Setting]:
        """Return a section, an empty one where there is none."""
        return self.sections.get(name, {})


def read_ini(path: Path) -> Ini:
    """Read a file and all that it includes. Raises: ConfigError."""
    reader = _Reader()
    reader.read(path, 0)
    return Ini(reader.sections)


def pairs_of(setting: Setting) -> Mapping[str, str]:
    """Read a connection string, `host=... port=...`. Raises: ConfigError."""
    pairs: dict[str, str] = {}
    position = 0
    while position < len(setting.value):
        match = _PAIR.match(setting.value, position)
        if match is None:
            raise ConfigError([f"{setting.place}: expected key=value, separated by spaces"])
        name, value = match.groups()
        is_quoted = value.startswith("'")
        pairs[name.lower()] = value[1:-1].replace("''", "'") if is_quoted else value
        position = match.end()
    return pairs


class _Reader:
    def __init__(self) -> None:
        self.sections: dict[str, dict[str, Setting]] = {}
        self._section: dict[str, Setting] | None = None

    def read(self, path: Path, depth: int) -> None:
        if depth > _DEPTH:
            raise ConfigError([f"{path}: files include each other {_DEPTH} deep"])
        for number, line in enumerate(read_lines(path), 1):
            text = line.strip()
            if text and text[0] not in ";#":
                self._take(text, f"{path}:{number}", path, depth)

    def _take(self, text: str, place: str, path: Path, depth: int) -> None:
        if text.startswith(_INCLUDE):
            name = text.removeprefix(_INCLUDE).strip()
            self.read(path.parent / name, depth + 1)
        elif match := _SECTION.match(text):
            self._section = self.sections.setdefault(match[1].lower(), {})
        elif (match := _SETTING.match(text)) and self._section is not None:
            self._section[_name(match[1])] = Setting(match[2].strip(), place)
        else:
            raise ConfigError([f"{place}: expected [section] or name = value"])


def _name(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
