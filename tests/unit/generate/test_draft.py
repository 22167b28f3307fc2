"""Who gets a pool, and what is said of the others; the result is a configuration that loads."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenpool import config as configuration
from greenpool.config import Config
from greenpool.generate.draft import Wishes, draft
from greenpool.generate.outline import Outline
from greenpool.generate.server import Server
from greenpool.generate.text import render
from tests.unit.generate.samples import SECRET, role, server

WISHES = Wishes("10.0.0.1", 5433)


def outline(found: Server, wishes: Wishes = WISHES, **passwords: str) -> Outline:
    return draft(found, wishes, passwords, ())


def loaded(text: str, directory: Path) -> Config:
    path = directory / "greenpool.yaml"
    path.write_text(text)
    return configuration.load(path, {})


def test_every_role_that_may_connect_becomes_a_user(tmp_path: Path):
    found = server([role("app", 4), role("web")], {"shop": None, "logs": None})
    config = loaded(render(outline(found), None), tmp_path)
    assert list(config.pools) == ["logs", "shop"]
    pool = config.pools["shop"]
    assert (pool.server_host, pool.server_port, pool.server_database) == ("10.0.0.1", 5433, "shop")
    assert [(user.username, user.password) for user in pool.users.values()] == [
        ("app", SECRET),
        ("web", SECRET),
    ]
    assert pool.users["app"].pool_size == 2


@pytest.mark.parametrize(
    ("left", "why"),
    [
        (role("boss", is_superuser=True), "a superuser (--superusers takes them in)"),
        (role("copy", is_replication=True), "it is for replication"),
        (role("stopped", 0), "its connection limit is 0"),
        (role("late", is_expired=True), "its password has expired"),
        (role("bare", secret=None), "no password is known"),
        (role("(auth_query)"), "its name is reserved"),
        (role("latin\udce9"), "its name is not UTF-8"),
    ],
)
def test_role_without_a_pool_is_named_with_the_reason(left, why: str):
    made = outline(server([role("app"), left]))
    assert [user.entries[0].value for user in made.pools[0].users] == ["app"]
    assert len(made.left_out) == 1
    assert made.left_out[0].endswith(why)


@pytest.mark.parametrize("name", ["greenpool", "pgbouncer", "*", "closed"])
def test_database_that_cannot_be_a_pool_is_named(name: str):
    limit = 0 if name == "closed" else None
    made = outline(server(databases={name: limit, "shop": None}))
    assert [pool.name for pool in made.pools] == ["shop"]
    assert made.left_out[0].startswith(f'database "{name}": its ')


def test_wishes_take_in_and_leave_out():
    found = server([role("app"), role("boss", is_superuser=True)], {"shop": None, "logs": None})
    wishes = Wishes(
        "db",
        5432,
        with_superusers=True,
        without_databases=frozenset({"logs"}),
        without_users=frozenset({"app"}),
    )
    made = outline(found, wishes)
    assert [pool.name for pool in made.pools] == ["shop"]
    assert [user.entries[0].value for user in made.pools[0].users] == ["boss"]
    assert made.left_out == ()


def test_password_from_elsewhere_wins():
    made = outline(server([role("app"), role("web", secret=None)]), app="new", web="web")
    assert [user.entries[1].value for user in made.pools[0].users] == ["new", "web"]


def test_without_secrets_pools_wait_for_the_included_file(tmp_path: Path):
    made = outline(server([role("app", secret=None)], knows_secrets=0))
    (tmp_path / "local.yaml").write_text(
        "pools: {shop: {users: [{username: app, password: its-own}]}}"
    )
    config = loaded(render(made, "local.yaml"), tmp_path)
    assert config.pools["shop"].users["app"].password == "its-own"
    assert any("GRANT SELECT" in note for note in made.notes)


def test_patroni_is_written_down_as_far_as_it_is_supported():
    text = render(draft(server(), WISHES, {}, ("http://a:8008", "http://b:8008")), None)
    line = 'patroni_api_urls: ["http://a:8008", "http://b:8008"]'
    assert [each for each in text.splitlines() if each.endswith(line)]


NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1
).filter(lambda name: len(name.encode()) <= 63 and name not in ("*", "(auth_query)"))


@given(user=NAMES, database=NAMES, secret=NAMES)
def test_any_name_is_read_back_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, user: str, database: str, secret: str
):
    found = server([role(user)], {database: None})
    text = render(draft(found, WISHES, {user: f"x{secret}"}, ()), None)
    config = loaded(text, tmp_path_factory.mktemp("names"))
    if database in configuration.ADMIN_DATABASES:
        return
    assert list(config.pools) == [database]
    assert config.pools[database].users[user].password == f"x{secret}"
