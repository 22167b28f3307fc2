"""The merged tree -> Config: sections read, overrides resolved, cross checks done.

Resolution: a user's value wins over its pool's, that over general's, that over the default;
startup_parameters are merged setting by setting in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from greenpool.config import checks
from greenpool.config.frozen_map import FrozenMap
from greenpool.config.key import Section
from greenpool.config.kinds import did_you_mean
from greenpool.config.model import AuthQuery, Config, General, Pool, User, Web
from greenpool.config.section import SectionReader, Settings
from greenpool.config.table import SECTION_ALIASES, keys_of
from greenpool.config.tree import Node, Problems

_SECTIONS = ("general", "pools", "web")
_POOL_STRUCTURE = frozenset(("users", "auth_query"))
_NO_STRUCTURE: frozenset[str] = frozenset()
Values = dict[str, Any]  # by attribute name


def build(root: Node, files: tuple[Path, ...], problems: Problems) -> Config:
    """Return the configuration; where `problems` grew it must not be used."""
    builder = _Builder(problems)
    sections = builder.sections(root)
    general_settings = builder.reader.read(
        sections.get("general"), Section.GENERAL, "general", structure=_NO_STRUCTURE
    )
    general = _resolve(Section.GENERAL, general_settings, {})
    web_settings = builder.reader.read(
        sections.get("web"), Section.WEB, "web", structure=_NO_STRUCTURE
    )
    config = Config(
        general=General(**general),
        pools=builder.pools(sections.get("pools"), root, general),
        web=Web(**_resolve(Section.WEB, web_settings, {})),
        warnings=(),
        files=files,
    )
    checks.check_general(config.general, general_settings, root.mark, problems)
    checks.check_web(config.web, web_settings, problems)
    return checks.with_warnings(config, builder.reader.ignored)


class _Builder:
    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self.reader = SectionReader(problems)

    def sections(self, root: Node) -> dict[str, Node]:
        """Return the top-level sections by their own names."""
        sections: dict[str, Node] = {}
        for name, node in _members(root).items():
            section = SECTION_ALIASES.get(name, name)
            if section not in _SECTIONS:
                hint = did_you_mean(name, (*_SECTIONS, "include"))
                self._problems.add(node.mark, name, f"unknown section{hint}")
            elif section in sections:
                what = f'says again what "{section}" says ({sections[section].mark})'
                self._problems.add(node.mark, name, what)
            else:
                sections[section] = node
        return sections

    def pools(self, node: Node | None, root: Node, general: Values) -> Mapping[str, Pool]:
        """Return the pools by name."""
        if node is not None and node.value is not None and not isinstance(node.value, dict):
            what = f"expected a mapping of pools, found {node.describe()}"
            self._problems.add(node.mark, "pools", what)
            return {}
        members = _members(node)
        if not members:
            self._problems.add((node or root).mark, "pools", "no pool is defined")
        pools = {name: self._pool(name, item, general) for name, item in members.items()}
        return FrozenMap(pools)

    def _pool(self, name: str, node: Node, general: Values) -> Pool:
        path = f"pools.{name}"
        checks.check_pool_name(name, node.mark, path, self._problems)
        settings = self.reader.read(node, Section.POOL, path, structure=_POOL_STRUCTURE)
        values = _resolve(Section.POOL, settings, general)
        values["server_database"] = values["server_database"] or name
        members = _members(node)
        users = self._users(members.get("users"), path, values)
        pool = Pool(
            name=name,
            users=users,
            auth_query=self._auth_query(members.get("auth_query"), path, values, users),
            **values,
        )
        if isinstance(node.value, dict) or node.value is None:
            checks.check_pool(pool, settings, node.mark, path, self._problems)
        return pool

    def _users(self, node: Node | None, path: str, pool: Values) -> Mapping[str, User]:
        path = f"{path}.users"
        users: dict[str, User] = {}
        for index, item in self._user_nodes(node, path):
            where = f"{path}[{index}]"
            settings = self.reader.read(item, Section.USER, where, structure=_NO_STRUCTURE)
            values = _resolve(Section.USER, settings, pool)
            if values["username"] is None:
                continue  # reported as missing
            user = User(**values)
            checks.check_user(user, settings, where, self._problems)
            if user.username in users:
                what = f'"{user.username}" is already a user of this pool'
                self._problems.add(settings["username"].mark, f"{where}.username", what)
            users[user.username] = user
        return FrozenMap(users)

    def _user_nodes(self, node: Node | None, path: str) -> list[tuple[int, Node]]:
        """Return the users of a list, or of PgDoorman's mapping from numbers, in their order."""
        if node is None or node.value is None:
            return []
        if isinstance(node.value, list):
            return list(enumerate(node.value))
        if not isinstance(node.value, dict):
            what = f"expected a list of users, found {node.describe()}"
            self._problems.add(node.mark, path, what)
            return []
        numbered: list[tuple[int, Node]] = []
        for number, item in node.value.items():
            if number.isascii() and number.isdigit():
                numbered.append((int(number), item))
            else:
                what = "expected a list of users (or a mapping from numbers)"
                self._problems.add(item.mark, f"{path}.{number}", what)
        return sorted(numbered, key=lambda pair: pair[0])

    def _auth_query(
        self, node: Node | None, path: str, pool: Values, users: Mapping[str, User]
    ) -> AuthQuery | None:
        if node is None or node.value is None:
            return None
        path = f"{path}.auth_query"
        settings = self.reader.read(node, Section.AUTH_QUERY, path, structure=_NO_STRUCTURE)
        values = _resolve(Section.AUTH_QUERY, settings, {})
        values["database"] = values["database"] or pool["server_database"]
        if values["query"] is None or values["user"] is None:
            return None  # reported as missing
        auth_query = AuthQuery(**values)
        checks.check_auth_query(auth_query, users, settings, node.mark, path, self._problems)
        return auth_query


def _resolve(section: Section, settings: Settings, inherited: Values) -> Values:
    """Return every attribute of a section: its own setting, else inherited, else the default."""
    values: Values = {}
    for key in keys_of(section):
        setting = settings.get(key.name)
        if setting is not None:
            values[key.attribute] = setting.value
        elif key.home is not section:
            values[key.attribute] = inherited[key.attribute]
        else:
            values[key.attribute] = key.effective_default()
    if "startup_parameters" in settings and "startup_parameters" in inherited:
        merged = {**dict(inherited["startup_parameters"]), **dict(values["startup_parameters"])}
        values["startup_parameters"] = tuple(merged.items())
    return values


def _members(node: Node | None) -> dict[str, Node]:
    return node.value if node is not None and isinstance(node.value, dict) else {}
