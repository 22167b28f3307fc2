"""general.stats_users: who may look at the console and change nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenpool.config import show_rows
from greenpool.errors import ConfigError

POOLS = "pools: {app: {users: [{username: app}]}}"


def general(text: str) -> str:
    return f"general: {{{text}}}\n{POOLS}\n"


def test_users_are_read_with_passwords_and_files(files, tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("from-a-file\n")
    secret.chmod(0o600)
    text = (
        "stats_users: [{username: watcher, password: hush-hush}, "
        f"{{username: other, password_file: {secret}}}]"
    )
    config = files.load(general(text))
    watcher, other = config.general.stats_users
    assert (watcher.username, watcher.password) == ("watcher", "hush-hush")
    assert (other.username, other.password) == ("other", "from-a-file")
    assert "hush-hush" not in repr(config)
    [shown] = [row for row in show_rows(config) if row[0] == "stats_users"]
    assert shown[1:3] == ("watcher, other", "")


def test_there_are_none_by_default(files):
    assert files.load(POOLS).general.stats_users == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[{username: watcher}]", '"watcher" has no password'),
        ('[{username: watcher, password: ""}]', '"watcher" has no password'),
        ("[{password: hush-hush}]", '"username" is missing'),
        ("[{username: a, password: hush-hush, pasword: x}]", 'unknown key "pasword" (did you'),
        ("[{username: a, password: hush-hush, password_file: f}]", "says password and"),
        ("[hush-hush]", "expected a list of users"),
        ("hush-hush", "expected a list of users"),
        ("[{username: a, password: x}, {username: a, password: y}]", '"a" is named twice'),
        ("[{username: admin, password: hush-hush}]", '"admin" is the admin'),
    ],
)
def test_what_is_wrong_is_said_without_secrets(files, text: str, problem: str):
    with pytest.raises(ConfigError) as caught:
        files.load(general(f"stats_users: {text}"))
    assert problem in str(caught.value)
    assert "hush-hush" not in str(caught.value)
