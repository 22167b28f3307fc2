import pytest

from greenpool.config import changes, keep_restart_keys

OLD = """
general:
  port: 7000
  query_wait_timeout: 5s
  log_level: info
pools:
  app:
    users:
      - {username: ann, password: a}
      - {username: bob, password: b}
  old:
    users: [{username: ann, password: a}]
"""


@pytest.fixture
def compare(files):
    """Compare OLD with what it becomes when some texts are replaced."""

    def compare(**replacements):
        text = OLD
        for old, new in replacements.values():
            assert old in text
            text = text.replace(old, new)
        return changes(files.load(OLD, name="old.yaml"), files.load(text, name="new.yaml"))

    return compare


def test_same_configuration_has_no_changes(compare):
    assert not compare()


def test_key_that_needs_a_restart_is_named_apart(compare):
    found = compare(port=("7000", "7001"), level=("info", "debug"))
    assert found.restart == ("general.port",)
    assert found.live == ("general.log_level",)
    assert found.pools_changed == ()


def test_inherited_key_changes_every_pool(compare):
    found = compare(timeout=("5s", "6s"))
    assert found.live == ("general.query_wait_timeout",)
    assert found.pools_changed == ("app", "old")
    assert found.users_changed == ()


def test_inherited_lifetime_changes_every_user(compare):
    found = compare(timeout=("query_wait_timeout", "server_lifetime"))
    assert found.users_changed == (("app", "ann"), ("app", "bob"), ("old", "ann"))


def test_pools_come_and_go_with_their_users(compare):
    found = compare(name=("  old:", "  new:"))
    assert found.pools_added == ("new",)
    assert found.pools_removed == ("old",)
    assert found.users_added == (("new", "ann"),)
    assert found.users_removed == (("old", "ann"),)


def test_users_come_go_and_change_without_changing_the_pool(compare):
    found = compare(
        ann=("{username: ann, password: a}\n      -", "{username: eve, password: a}\n      -"),
        bob=("password: b", "password: c"),
    )
    assert found.pools_changed == ()
    assert found.users_added == (("app", "eve"),)
    assert found.users_removed == (("app", "ann"),)
    assert found.users_changed == (("app", "bob"),)


def test_web_keys_carry_their_section(compare):
    found = compare(web=("general:", "web: {port: 9999}\ngeneral:"))
    assert found.restart == ("web.port",)


def test_what_takes_a_restart_keeps_its_value_and_the_rest_is_new(files):
    old = files.load(OLD, name="old.yaml")
    text = OLD.replace("7000", "7001").replace("info", "debug").replace("ann", "eve")
    new = files.load("web: {port: 9999}" + text, name="new.yaml")
    kept = keep_restart_keys(old, new)
    assert kept.general.port == 7000
    assert kept.web.port == old.web.port
    assert kept.general.log_level == "debug"
    assert list(kept.pools["app"].users) == ["eve", "bob"]
    assert changes(kept, new).restart == ("general.port", "web.port")
