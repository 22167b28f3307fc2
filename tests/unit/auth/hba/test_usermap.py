"""User name maps."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenpool.auth.hba.usermap import may_be
from greenpool.config import load

IDENT = r"""
# map  system        database
one    ann           bob
one    /^(.*)@x$     \1
one    root          all
one    /^op          /^op_
one    /^(a)|b$      \1_user
one    "all"         cyd
two    ann           ann
"""


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    directory = tmp_path_factory.mktemp("ident")
    (directory / "pg_ident.conf").write_text(IDENT)
    path: Path = directory / "greenpool.yaml"
    path.write_text(
        "general: {pg_ident: {path: pg_ident.conf}}\npools: {app: {users: [{username: x}]}}"
    )
    return load(path, {}).general.pg_ident


@pytest.mark.parametrize(
    ("map_name", "system_user", "user", "may"),
    [
        (None, "ann", "ann", True),
        (None, "ann", "Ann", False),
        ("one", "ann", "bob", True),
        ("one", "ann", "ann", False),
        ("two", "ann", "ann", True),
        ("one", "dan@x", "dan", True),
        ("one", "dan@x", "ann", False),
        ("one", "dan@x\n", "dan", False),
        ("one", "root", "anybody", True),
        ("one", "operator", "op_one", True),
        ("one", "operator", "opera", False),
        ("one", "a", "a_user", True),
        ("one", "b", "_user", False),
        ("one", "all", "cyd", True),
        ("one", "eve", "cyd", False),
    ],
)
def test_map_says_who_may_be_whom(rules, map_name, system_user, user, may):
    assert may_be(rules, map_name, system_user, user) is may
