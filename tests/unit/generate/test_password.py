"""Passwords from where libpq's programs have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenpool.errors import ConfigError, ControlError
from greenpool.generate.password import find_password
from greenpool.generate.userlist import read_userlist

PLACE = ("db1", 5432), ("postgres", "greenpool")


@pytest.fixture
def passfile(tmp_path: Path) -> Path:
    path = tmp_path / "passfile"
    path.write_text(
        "# a comment:*:*:*:x\n"
        "db2:*:*:*:other\n"
        r"db1:5432:postgres:greenpool:its\:own\\word" + "\n"
        "*:*:*:*:any\n"
    )
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("address", "password"),
    [(("db1", 5432), r"its:own\word"), (("/run", 5432), "any"), (("db2", 1), "other")],
)
def test_passfile(passfile: Path, address: tuple[str, int], password: str):
    environ = {"PGPASSFILE": str(passfile)}
    assert find_password(None, environ, address, PLACE[1]) == password


def test_file_named_wins_over_the_environment(tmp_path: Path):
    file = tmp_path / "password"
    file.write_text("from-the-file\n")
    environ = {"PGPASSWORD": "from-the-environment", "HOME": str(tmp_path)}
    assert find_password(file, environ, *PLACE) == "from-the-file"
    assert find_password(None, environ, *PLACE) == "from-the-environment"
    assert find_password(None, {"HOME": str(tmp_path)}, *PLACE) is None


def test_passfile_that_others_can_read_is_refused(passfile: Path):
    passfile.chmod(0o640)
    with pytest.raises(ControlError, match="chmod 0600"):
        find_password(None, {"PGPASSFILE": str(passfile)}, *PLACE)


def test_userlist(tmp_path: Path):
    path = tmp_path / "userlist.txt"
    path.write_text(';comment\n"app" "se""cret"\n\n"we""ird"  "md5x" "ignored"\n"empty" ""\n')
    assert read_userlist(path) == {"app": 'se"cret', 'we"ird': "md5x", "empty": ""}


def test_userlist_says_where_it_is_wrong(tmp_path: Path):
    path = tmp_path / "userlist.txt"
    path.write_text('"app" "x"\napp x\n')
    with pytest.raises(ConfigError) as caught:
        read_userlist(path)
    assert caught.value.problems == (f'{path}:2:1: expected "user" "secret"',)
