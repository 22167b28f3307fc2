"""No key is accepted and then forgotten: each is read, from the section that has the last word.

What a pool or a user may say for itself is resolved in their own objects, so who reads such a key
from `general` would not hear the pool. Readers are told by what they call the object.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import greenpool
from greenpool.config.key import Key, Section
from greenpool.config.table import KEYS

_PACKAGE = Path(greenpool.__file__).parent

_OWNERS = {
    Section.GENERAL: {"general"},
    Section.POOL: {"pool"},
    Section.USER: {"user"},
    Section.AUTH_QUERY: {"auth_query", "settings", "sizes"},
    Section.WEB: {"web"},
}
# Read by a property of config/model.py, which says what two keys mean together.
_PROPERTIES = {
    (Section.GENERAL, "backlog"): "listen_backlog",
    (Section.GENERAL, "hba"): "access_rules",
    (Section.GENERAL, "pg_hba"): "access_rules",
    (Section.AUTH_QUERY, "pool_size"): "found_pool_size",
    (Section.AUTH_QUERY, "default_pool_size"): "found_pool_size",
}


@cache
def reads() -> frozenset[tuple[str, str]]:
    """Find what is read outside of the loading of files: what the object is called, attribute."""
    found = set()
    for file in _PACKAGE.rglob("*.py"):
        if file.parent.name == "config" and file.name != "members.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute):
                owner = ast.unparse(node.value).rsplit(".", 1)[-1].lstrip("_")
                found.add((owner, node.attr))
    return frozenset(found)


@pytest.mark.parametrize(
    "key", [key for key in KEYS if key.is_built], ids=lambda key: f"{key.where}-{key.name}"
)
def test_each_key_is_read_by_somebody(key: Key) -> None:
    section = Section(key.where[-1])
    attribute = _PROPERTIES.get((section, key.name), key.attribute)
    assert any((owner, attribute) in reads() for owner in _OWNERS[section])


@pytest.mark.parametrize(
    "key", [key for key in KEYS if not key.is_built], ids=lambda key: f"{key.where}-{key.name}"
)
def test_what_is_not_built_can_only_be_what_the_program_does(key: Key) -> None:
    assert key.accepts(key.effective_default())
    assert not key.accepts(object())
