"""Passwords that change: asked for once, again when they are refused or old, and never shown."""

from __future__ import annotations

import os
from pathlib import Path

import gevent
import pytest
from gevent.threadpool import ThreadPool

from greenpool.worker import password_source
from greenpool.worker.password_source import PasswordSource, PasswordUnknown


@pytest.fixture
def threads() -> ThreadPool:
    pool: ThreadPool = gevent.get_hub().threadpool
    return pool


def shell(line: str) -> PasswordSource:
    return PasswordSource(("/bin/sh", "-c", line), None, None)


def counting(directory: Path) -> PasswordSource:
    """Make one whose password is the number of times that it was asked for."""
    return shell(f"echo >> {directory}/asked; wc -l < {directory}/asked | tr -d ' '")


def test_command_is_asked_once_and_again_when_its_password_is_refused(threads, tmp_path):
    source = counting(tmp_path)
    assert source.password is None
    number = source.ensure(threads, 100.0, 0)
    assert source.password == "1"
    assert source.ensure(threads, 9999.0, 0) == number
    assert source.renew(threads, 9999.0, number)
    assert source.password == "2"
    assert source.renew(threads, 9999.0, number)  # another login has been refused the same one
    assert source.password == "2"


def test_those_who_need_it_at_once_ask_once(threads, tmp_path):
    source = counting(tmp_path)
    logins = [gevent.spawn(source.ensure, threads, 100.0, 0) for _ in range(5)]
    gevent.joinall(logins, timeout=10, raise_error=True)
    assert source.password == "1"


def test_password_whose_time_is_over_is_asked_for_before_it_is_used(threads, tmp_path):
    source = counting(tmp_path)
    source.ensure(threads, 100.0, 60.0)
    source.ensure(threads, 159.0, 60.0)
    assert source.password == "1"
    source.ensure(threads, 160.0, 60.0)
    assert source.password == "2"


def test_same_password_again_is_no_other_one(threads):
    source = shell("echo secret")
    number = source.ensure(threads, 100.0, 0)
    assert not source.renew(threads, 100.0, number)


def test_file_is_read_again_only_when_its_password_is_refused(threads, tmp_path):
    file = tmp_path / "password"
    file.write_text("new\n")
    source = PasswordSource((), file, "old")
    number = source.ensure(threads, 100.0, 0)
    assert source.password == "old"
    assert source.renew(threads, 100.0, number)
    assert source.password == "new"
    file.unlink()
    with pytest.raises(PasswordUnknown, match="No such file"):
        source.renew(threads, 100.0, source.ensure(threads, 100.0, 0))
    assert source.password == "new"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("echo hidden; echo hidden >&2; exit 3", "ended with status 3"),
        ("head -c 20000 /dev/zero | tr '\\0' x", "prints too much"),
        ("true", "holds no password"),
        ("printf 'hidden\\377'", "does not hold UTF-8"),
        ("echo hidden; sleep 60", "takes more than"),
    ],
)
def test_failure_names_the_command_and_nothing_that_it_said(threads, monkeypatch, line, what):
    if "sleep" in line:
        monkeypatch.setattr(password_source, "COMMAND_S", 0.2)
    with pytest.raises(PasswordUnknown, match=what) as found:
        shell(line).ensure(threads, 100.0, 0)
    assert "hidden" not in str(found.value)


def test_command_that_is_not_there_is_told(threads, tmp_path):
    source = PasswordSource((str(tmp_path / "nothing"),), None, None)
    with pytest.raises(PasswordUnknown, match="No such file"):
        source.ensure(threads, 100.0, 0)


def test_command_that_takes_too_long_is_killed_with_its_children(threads, monkeypatch, tmp_path):
    monkeypatch.setattr(password_source, "COMMAND_S", 0.5)
    with pytest.raises(PasswordUnknown):
        shell(f"echo $$ > {tmp_path}/pid; sleep 60 & wait").ensure(threads, 100.0, 0)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
