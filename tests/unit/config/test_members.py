"""Which pools a configuration has, and which ones logins make."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenpool.config import (
    LOOKUP_USER,
    TEMPLATE,
    Config,
    Kind,
    Member,
    guest_member,
    heir_of,
    home_of,
    load,
    lookup_of,
    members,
    pool_of,
)

YAML = """
pools:
  shop:
    users: [{username: ann}]
  till:
    auth_query: {query: "select $1", user: asker}
  "*":
    users: [{username: ann, pool_size: 3}]
    auth_query: {query: "select $1", user: asker, database: roles}
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return _loaded(tmp_path, YAML)


def _loaded(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "greenpool.yaml"
    path.write_text(text)
    return load(path, {})


def _guest(config: Config, database: str, user: str) -> tuple[Kind, str, int] | None:
    member = guest_member(config, database, user)
    assert member is None or member.key == (database, user)
    if member is None:
        return None
    assert member.pool.server_database == database
    return member.kind, member.user.username, member.user.pool_size


def test_pools_that_are_there_from_the_start(config: Config) -> None:
    assert {member.key: member.kind for member in members(config)} == {
        ("shop", "ann"): Kind.USER,
        ("till", LOOKUP_USER): Kind.LOOKUP,
        (TEMPLATE, TEMPLATE): Kind.HEIR,
        (TEMPLATE, LOOKUP_USER): Kind.LOOKUP,
    }


def test_guests(config: Config) -> None:
    assert _guest(config, "new", "ann") == (Kind.TEMPLATE, "ann", 3)
    assert _guest(config, "new", "bob") == (Kind.FOUND, "bob", 40)
    assert _guest(config, "till", "bob") == (Kind.FOUND, "bob", 40)
    for key in (("shop", "ann"), ("shop", "bob"), ("new", LOOKUP_USER), (TEMPLATE, "ann")):
        assert guest_member(config, *key) is None
    found: list[Member] = [*members(config, [("new", "ann"), ("shop", "bob")])]
    assert [member.key for member in found if member.kind is Kind.TEMPLATE] == [("new", "ann")]


def test_homes_of_guests(config: Config, tmp_path: Path) -> None:
    assert home_of(config, "new", "ann") == ("new", "ann")
    assert home_of(config, "till", "bob") == ("till", "bob")
    assert home_of(config, "shop", "ann") is home_of(config, TEMPLATE, "ann") is None
    shared = "roles, server_user: all, server_password: secret}"
    config = _loaded(tmp_path, YAML.replace("roles}", shared))
    assert home_of(config, "new", "bob") == ("new", "all")
    assert _guest(config, "new", "all") == (Kind.SHARED, "all", 40)
    assert guest_member(config, "new", "bob") is None


def test_who_asks_for_guests_and_who_counts_on_for_them(config: Config) -> None:
    assert lookup_of(config, "new") == (TEMPLATE, LOOKUP_USER)
    assert lookup_of(config, "till") == heir_of(config, "till") == ("till", LOOKUP_USER)
    assert heir_of(config, "new") == (TEMPLATE, TEMPLATE)


def test_template_with_a_database_of_its_own(tmp_path: Path) -> None:
    text = 'pools: {"*": {server_database: one, users: [{username: ann}]}}'
    pool = pool_of(_loaded(tmp_path, text), "other")
    assert pool is not None
    assert (pool.name, pool.server_database) == ("other", "one")


def test_without_template_there_are_no_other_databases(tmp_path: Path) -> None:
    config = _loaded(tmp_path, "pools: {shop: {users: [{username: ann}]}}")
    assert pool_of(config, "new") is None
    assert home_of(config, "new", "ann") is None
