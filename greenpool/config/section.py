"""One section of the tree -> settings by key name, checked against the table.

Partner of build.py, which resolves what sections inherit. Everything wrong goes to `Problems`;
a setting that is wrong is left out, so that its default stands while the rest is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from greenpool.config.key import Invalid, Key, Section
from greenpool.config.kinds import did_you_mean
from greenpool.config.named_kinds import FileSecret, read_secret_file, secret_file
from greenpool.config.table import KEYS, REWORDINGS, Rewording, is_ignored, keys_of
from greenpool.config.tree import Mark, Node, Problems

_FILE_SUFFIX = "_file"
_INHERITED = (Section.GENERAL, Section.POOL)  # what a pool may say for itself, it may say in vain
# The sections whose keys are told apart by name alone, as an error text calls them.
_HOMES: Mapping[Section, str] = {
    Section.GENERAL: "general",
    Section.POOL: "a pool",
    Section.USER: "a user",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that a file gives, and where; values may be secrets."""

    value: Any = field(repr=False)
    mark: Mark
    path: str


Settings = dict[str, Setting]  # by the key's own name, whatever alias the file used


class SectionReader:
    """Reads sections of one configuration; keeps what PgDoorman's own keys were named."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.ignored: list[str] = []

    def read(
        self, node: Node | None, section: Section, path: str, *, structure: frozenset[str]
    ) -> Settings:
        """Return the settings of a section; `structure` names members that are not keys."""
        settings: Settings = {}
        if node is None or node.value is None:
            return settings
        if not isinstance(node.value, dict):
            self.problems.add(node.mark, path, f"expected a mapping, found {node.describe()}")
            return settings
        self._take(node.value, section, path, structure, settings)
        self._reword(node.value, section, path, settings)
        self._refuse_unbuilt(settings, section)
        self._require(settings, section, node.mark, path)
        return settings

    def _take(
        self,
        members: dict[str, Node],
        section: Section,
        path: str,
        structure: frozenset[str],
        settings: Settings,
    ) -> None:
        names = _names(section)
        for name, node in members.items():
            where = f"{path}.{name}"
            if name in names:
                self._set(names[name], node, where, settings)
            elif name in _rewordings(section) or name in structure:
                continue
            elif section in _INHERITED and is_ignored(name):
                self.ignored.append(where)
            else:
                known = (*names, *_rewordings(section), *structure)
                hint = _belongs_to(name) or did_you_mean(name, known)
                self.problems.add(node.mark, where, f"unknown key{hint}")

    def _set(self, key: Key, node: Node, path: str, settings: Settings) -> None:
        if node.value is None:
            return  # `key:` with nothing behind it is a key not set
        if key.name in settings:
            first = settings[key.name]
            self.problems.add(node.mark, path, f"says again what {first.path} says ({first.mark})")
            return
        try:
            file = None
            if path.endswith(_FILE_SUFFIX) and key.kind.is_secret:
                file, node = secret_file(node), read_secret_file(node)
            value = key.kind.read(node, key)
            if file is not None and isinstance(value, str):
                value = FileSecret(value, file)
            settings[key.name] = Setting(value, node.mark, path)
        except Invalid as error:
            for mark, what in error.each(node.mark):
                self.problems.add(mark, path, what)

    def _reword(
        self, members: dict[str, Node], section: Section, path: str, settings: Settings
    ) -> None:
        """Translate PgDoorman's booleans into our words."""
        given = set(settings)
        for rewording in _rewordings(section).values():
            node = members.get(rewording.name)
            if node is None or node.value is None:
                continue
            where = f"{path}.{rewording.name}"
            if not isinstance(node.value, bool):
                what = f"expected true or false, found {node.describe()}"
                self.problems.add(node.mark, where, what)
            elif rewording.target in given:
                what = f'cannot stand beside "{rewording.target}", which says it in a word'
                self.problems.add(node.mark, where, what)
            elif (word := rewording.words[node.value]) is not None:
                key = _names(section)[rewording.target]
                settings[key.name] = Setting(key.literal(word), node.mark, where)

    def _refuse_unbuilt(self, settings: Settings, section: Section) -> None:
        for key in keys_of(section):
            setting = settings.get(key.name)
            if setting is not None and not key.accepts(setting.value):
                del settings[key.name]
                self.problems.add(setting.mark, setting.path, f"not supported yet{_today(key)}")

    def _require(self, settings: Settings, section: Section, mark: Mark, path: str) -> None:
        # A key that is there with a wrong value has been reported already.
        blamed = self.problems.blames
        for key in keys_of(section):
            if key.required and key.name not in settings and not blamed(f"{path}.{key.name}"):
                self.problems.add(mark, path, f'"{key.name}" is missing')


@cache
def _names(section: Section) -> Mapping[str, Key]:
    """Return every name that a file may use in a section, with the key it means."""
    names: dict[str, Key] = {}
    for key in keys_of(section):
        names.update(dict.fromkeys((key.name, *key.aliases), key))
        if key.kind.is_secret:
            names[key.name + _FILE_SUFFIX] = key
    return names


@cache
def _rewordings(section: Section) -> Mapping[str, Rewording]:
    targets = {key.name for key in keys_of(section)}
    return {r.name: r for r in REWORDINGS if r.target in targets}


def _belongs_to(name: str) -> str:
    for key in KEYS:
        if name in (key.name, *key.aliases) and key.home in _HOMES:
            return f" (it belongs to {_HOMES[key.home]})"
    return ""


def _today(key: Key) -> str:
    """Say what may be written instead; nothing to say where that is only "not set"."""
    if isinstance(key.today, tuple) and key.today[0] is not None:
        words = " or ".join(f'"{key.show(key.literal(today))}"' for today in key.today)
        return f" (today only {words})"
    return ""
