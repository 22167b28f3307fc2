"""Users of the admin console who may look at everything and change nothing: general.stats_users.

stats_users:
  - {username: watcher, password_file: /etc/greenpool/watcher}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from greenpool.config.key import Invalid, Key, Kind
from greenpool.config.kinds import did_you_mean
from greenpool.config.named_kinds import NAME, SECRET, read_secret_file
from greenpool.config.tree import Node

_MEMBERS = ("username", "password", "password_file")


@dataclass(frozen=True, slots=True)
class StatsUser:
    """One of them; the password may be a hash, as the admin's may."""

    username: str
    password: str = field(repr=False)


StatsUsers: TypeAlias = tuple[StatsUser, ...]


def _read(node: Node, key: Key) -> StatsUsers:
    if not isinstance(node.value, list):
        raise Invalid("expected a list of users, each with username and password")
    users = tuple(_user(item, key) for item in node.value)
    names = [user.username for user in users]
    for name in names:
        if names.count(name) > 1:
            raise Invalid(f'"{name}" is named twice')
    return users


def _user(item: Node, key: Key) -> StatsUser:
    if not isinstance(item.value, dict):
        raise Invalid("expected a list of users, each with username and password")
    members = item.value
    for name in members:
        if name not in _MEMBERS:
            raise Invalid(f'unknown key "{name}"{did_you_mean(name, _MEMBERS)}')
    if "password" in members and "password_file" in members:
        raise Invalid("says password and password_file")
    if "username" not in members:
        raise Invalid('"username" is missing')
    username: str = NAME.read(members["username"], key)
    secret = members.get("password")
    if secret is None and "password_file" in members:
        secret = read_secret_file(members["password_file"])
    password: str = SECRET.read(secret, key) if secret is not None else ""
    if not password:
        raise Invalid(f'"{username}" has no password')
    return StatsUser(username, password)


def _show(users: StatsUsers) -> str:
    """Name them; passwords are shown nowhere."""
    return ", ".join(user.username for user in users)


STATS_USERS = Kind("list of users with passwords", _read, _show, unset=())
