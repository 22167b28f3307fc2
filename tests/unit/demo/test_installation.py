from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from greenpool.demo import installation
from greenpool.demo.errors import DemoError
from greenpool.demo.installation import PROGRAMS, Installation


def _programs(bin_dir: Path, version: str, names: tuple[str, ...] = PROGRAMS) -> Path:
    bin_dir.mkdir(parents=True)
    for name in names:
        (bin_dir / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (bin_dir / name).chmod(0o755)
    return bin_dir


def _look_only_below(monkeypatch: pytest.MonkeyPatch, base: Path) -> None:
    monkeypatch.setattr(installation, "_SYSTEM_DIRECTORIES", ((str(base), "*/bin"),))
    monkeypatch.setattr(installation, "_wheel_directories", list)


def test_find_installations_lists_the_newest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _look_only_below(monkeypatch, tmp_path)
    for number, version in enumerate(("9.6.24", "18.6", "15.18 (Debian 15.18-0+deb12u1)")):
        _programs(tmp_path / str(number) / "bin", version)
    found = installation.find_installations()
    assert [each.version for each in found] == [(18, 6), (15, 18), (9, 6)]
    assert found[0].title == "PostgreSQL 18.6"


def test_find_installations_reads_development_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _look_only_below(monkeypatch, tmp_path)
    _programs(tmp_path / "1" / "bin", "19devel")
    assert [each.version for each in installation.find_installations()] == [(19, 0)]


def test_find_installations_leaves_out_incomplete_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _look_only_below(monkeypatch, tmp_path)
    _programs(tmp_path / "1" / "bin", "18.6", ("postgres", "psql"))
    assert installation.find_installations() == []


def test_find_installations_refuses_a_version_it_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _look_only_below(monkeypatch, tmp_path)
    _programs(tmp_path / "1" / "bin", "unknown")
    with pytest.raises(DemoError, match="cannot read the version"):
        installation.find_installations()


def test_copy_keeps_the_libraries_beside_the_package(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "pg"
    bin_dir = _programs(package / "pginstall" / "bin", "18.6")
    (tmp_path / "site-packages" / "pg.libs").mkdir()
    (tmp_path / "site-packages" / "pg.libs" / "libpq.so").touch()
    target = tmp_path / "copy"
    target.mkdir()
    copy = installation.copy_installation(Installation((18, 6), bin_dir, package), target)
    assert copy.bin_dir == target / "pg" / "pginstall" / "bin"
    assert os.access(copy.program("postgres"), os.X_OK)
    assert (target / "pg.libs" / "libpq.so").exists()


def test_copy_refuses_an_installation_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="cannot be reached"):
        installation.copy_installation(Installation((15, 1), tmp_path), tmp_path)


def test_reachable_as_ourselves(tmp_path: Path) -> None:
    found = Installation((15, 1), tmp_path)
    assert installation.reachable(found, None) is found


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_reachable_sees_closed_directories(tmp_path: Path) -> None:
    found = Installation((15, 1), _programs(tmp_path / "bin", "15.1"))
    tmp_path.chmod(0o700)
    assert installation.reachable(found, pwd.getpwnam("nobody")) is None


def test_unprivileged_user_is_nobody_else_for_ordinary_users(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert installation.unprivileged_user() is None


def test_unprivileged_user_of_root_is_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    user = installation.unprivileged_user()
    assert user is not None
    assert user.pw_uid != 0


def test_unprivileged_user_is_asked_for_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nobody(name: str) -> pwd.struct_passwd:
        raise KeyError(name)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", nobody)
    with pytest.raises(DemoError, match="run this as an ordinary user"):
        installation.unprivileged_user()
