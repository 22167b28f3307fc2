"""What differs between two configurations, in the words that `reload` reports, and what of it
a running greenpool can take over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from greenpool.config.key import Key, Reload, Section
from greenpool.config.model import Config, Pool
from greenpool.config.table import keys_of

T = TypeVar("T")
PoolUser = tuple[str, str]  # pool name, user name


@dataclass(frozen=True, slots=True)
class Changes:
    """Keys as `general.port`, pools by name, users as (pool, user). False when nothing differs.

    `restart` keys take an upgrade or a restart: reload names them and does not apply them.
    A pool counts as changed by what it inherits, too, but not by its users; a user by its pool.
    """

    restart: tuple[str, ...]
    live: tuple[str, ...]
    pools_added: tuple[str, ...]
    pools_removed: tuple[str, ...]
    pools_changed: tuple[str, ...]
    users_added: tuple[PoolUser, ...]
    users_removed: tuple[PoolUser, ...]
    users_changed: tuple[PoolUser, ...]

    def __bool__(self) -> bool:
        return any(getattr(self, each.name) for each in fields(self))


def changes(old: Config, new: Config) -> Changes:
    """Compare two configurations."""
    keys = [*_differing(Section.GENERAL, "general", old.general, new.general)]
    keys += _differing(Section.WEB, "web", old.web, new.web)
    old_users, new_users = _users(old), _users(new)
    return Changes(
        restart=tuple(name for name, key in keys if key.reload is Reload.RESTART),
        live=tuple(name for name, key in keys if key.reload is Reload.LIVE),
        pools_added=_only_in(new.pools, old.pools),
        pools_removed=_only_in(old.pools, new.pools),
        pools_changed=tuple(
            name
            for name in new.pools
            if name in old.pools and _own(old.pools[name]) != _own(new.pools[name])
        ),
        users_added=_only_in(new_users, old_users),
        users_removed=_only_in(old_users, new_users),
        users_changed=tuple(
            name for name in new_users if name in old_users and old_users[name] != new_users[name]
        ),
    )


def keep_restart_keys(old: Config, new: Config) -> Config:
    """Return `new` with `old`'s values of all keys that take a restart."""
    return replace(
        new,
        general=replace(new.general, **_restart_values(Section.GENERAL, old.general)),
        web=replace(new.web, **_restart_values(Section.WEB, old.web)),
    )


def _restart_values(section: Section, values: object) -> dict[str, Any]:
    return {
        key.attribute: getattr(values, key.attribute)
        for key in keys_of(section)
        if key.reload is Reload.RESTART
    }


def _differing(section: Section, path: str, old: Any, new: Any) -> Iterator[tuple[str, Key]]:
    for key in keys_of(section):
        if getattr(old, key.attribute) != getattr(new, key.attribute):
            yield f"{path}.{key.name}", key


def _users(config: Config) -> dict[PoolUser, object]:
    return {
        (pool.name, name): user
        for pool in config.pools.values()
        for name, user in pool.users.items()
    }


def _only_in(these: Mapping[T, object], those: Mapping[T, object]) -> tuple[T, ...]:
    return tuple(name for name in these if name not in those)


def _own(pool: Pool) -> list[object]:
    return [getattr(pool, each.name) for each in fields(pool) if each.name != "users"]
