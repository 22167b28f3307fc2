"""The pid file: one living master, whatever the file says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from greenpool.errors import StartupError
from greenpool.master.pidfile import PidFile


def test_file_holds_our_pid_and_is_removed_at_the_end(tmp_path: Path):
    path = tmp_path / "pid"
    held = PidFile.acquire(path)
    assert path.read_text() == f"{os.getpid()}\n"
    held.release()
    assert not path.exists()


def test_second_master_is_refused_by_the_lock(tmp_path: Path):
    path = tmp_path / "pid"
    held = PidFile.acquire(path)
    with pytest.raises(StartupError, match=f"already running with pid {os.getpid()}"):
        PidFile.acquire(path)
    assert path.read_text() == f"{os.getpid()}\n"
    held.release()
    PidFile.acquire(path).release()


@pytest.mark.parametrize("left", ["1\n", "99999999999\n", "", "not a number"])
def test_file_that_nobody_holds_is_replaced_whatever_it_says(tmp_path: Path, left: str):
    path = tmp_path / "pid"
    path.write_text(left)
    held = PidFile.acquire(path)
    assert path.read_text() == f"{os.getpid()}\n"
    held.release()


def test_file_removed_between_open_and_lock_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "pid"
    real_open = os.open
    opened: list[int] = []

    def open_and_lose(name, flags, mode=0o777):
        fd = real_open(name, flags, mode)
        if not opened:
            Path(name).unlink()  # as its master's release does
        opened.append(fd)
        return fd

    monkeypatch.setattr(os, "open", open_and_lose)
    held = PidFile.acquire(path)
    assert len(opened) == 2
    assert path.read_text() == f"{os.getpid()}\n"
    held.release()


def test_symbolic_link_is_not_followed(tmp_path: Path):
    target = tmp_path / "precious"
    target.write_text("data")
    (tmp_path / "pid").symlink_to(target)
    with pytest.raises(StartupError, match="cannot write the pid file"):
        PidFile.acquire(tmp_path / "pid")
    assert target.read_text() == "data"


def test_missing_directory_is_said_with_the_key(tmp_path: Path):
    with pytest.raises(StartupError, match=r"general\.pid_file, or --pid-file"):
        PidFile.acquire(tmp_path / "missing" / "pid")
