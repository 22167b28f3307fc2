r"""User name maps: may somebody with that name outside be that user here?

Source: "Client Authentication > User Name Maps"; PostgreSQL `check_usermap`.
"""

from __future__ import annotations

from collections.abc import Iterable

from greenpool.auth.hba.match import fits_name
from greenpool.config import BACKREFERENCE, IdentRule, NameKind


def may_be(rules: Iterable[IdentRule], map_name: str | None, system_user: str, user: str) -> bool:
    """Say whether `system_user` may log in as `user`; without a map only under the same name."""
    if map_name is None:
        return system_user == user
    return any(_allows(each, system_user, user) for each in rules if each.map == map_name)


def _allows(rule: IdentRule, system_user: str, user: str) -> bool:
    if rule.system_user.regex is None:
        return rule.system_user.text == system_user and fits_name(rule.user, user)
    found = rule.system_user.regex.search(system_user)
    if found is None:
        return False
    if rule.user.kind is not NameKind.LITERAL or BACKREFERENCE not in rule.user.text:
        return fits_name(rule.user, user)
    group = found[1]  # None: a group of an alternative that did not match
    return group is not None and rule.user.text.replace(BACKREFERENCE, group, 1) == user
