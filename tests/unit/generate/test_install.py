"""A generated file goes to its place whole or not at all, and a reload that is due is not lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenpool.errors import ConfigError, ControlError
from greenpool.generate.install import include_of, install
from greenpool.generate.text import MARK

TEXT = f"{MARK} from a test.\n"


class Machine:
    """What `install` is given: a check and a reload that do as they are told."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "greenpool.yaml"
        self.checked: list[str] = []
        self.reloads = 0
        self.error: Exception | None = None

    def check(self, path: Path) -> None:
        assert path.parent == self.path.parent  # so that what it includes is found
        self.checked.append(path.read_text())

    def refuse(self, path: Path) -> None:
        raise ConfigError([f"{path}:1:1: no"])

    def reload(self) -> None:
        if self.error is not None:
            raise self.error
        self.reloads += 1

    def install(self, text: str = TEXT, **options) -> bool:
        given = {"check": self.check, "force": False, "take_over": self.reload, **options}
        return install(self.path, text, **given)

    def others(self) -> set[str]:
        names = {each.name for each in self.path.parent.iterdir()}
        return names - {"greenpool.yaml", "greenpool.local.yaml"}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_file_is_checked_written_and_reloaded_once(machine: Machine):
    assert machine.install()
    assert machine.path.read_text() == TEXT
    assert machine.path.stat().st_mode & 0o777 == 0o600
    assert not machine.install()
    assert (machine.checked, machine.reloads, machine.others()) == ([TEXT], 1, set())


def test_same_bytes_leave_the_file_alone(machine: Machine):
    machine.install()
    before = machine.path.stat()
    machine.install()
    after = machine.path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_mode_and_include_stay_as_they_were(machine: Machine):
    machine.install()
    machine.path.chmod(0o640)
    include = include_of(machine.path)
    include.write_text("general: {port: 7000}\n")
    assert machine.install(TEXT + "pools: {}\n")
    assert machine.path.stat().st_mode & 0o777 == 0o640
    assert include.read_text() == "general: {port: 7000}\n"


def test_text_that_is_refused_changes_nothing(machine: Machine):
    machine.install()
    with pytest.raises(ConfigError) as caught:
        machine.install(TEXT + "x", check=machine.refuse)
    assert caught.value.problems == (
        f"{machine.path}:1:1: no",
        f'"{machine.path}" stays as it was',
    )
    assert (machine.path.read_text(), machine.reloads, machine.others()) == (TEXT, 1, set())


def test_file_written_by_hand_is_replaced_only_when_told(machine: Machine):
    machine.path.write_text("general: {}\n")
    with pytest.raises(ControlError, match="--force replaces it"):
        machine.install()
    assert machine.path.read_text() == "general: {}\n"
    assert machine.install(force=True)


def test_reload_that_failed_is_made_up_for(machine: Machine):
    machine.error = ControlError("does not answer")
    with pytest.raises(ControlError):
        machine.install()
    assert machine.path.read_text() == TEXT
    machine.error = None
    assert not machine.install()
    assert (machine.reloads, machine.others()) == (1, set())


def test_without_a_reload_none_is_due(machine: Machine):
    assert machine.install(take_over=None)
    assert not machine.install()
    assert (machine.reloads, machine.others()) == (0, set())


def test_what_a_dead_run_has_left_is_overwritten(machine: Machine):
    (machine.path.parent / ".greenpool.new.yaml").write_text("half of a conf")
    assert machine.install()
    assert (machine.path.read_text(), machine.others()) == (TEXT, set())


def test_second_run_at_the_same_time_is_refused(machine: Machine):
    def second() -> None:
        with pytest.raises(ControlError, match="another `generate` is at work"):
            machine.install(take_over=None)

    assert machine.install(take_over=second)


def test_directory_that_is_not_there_is_said(machine: Machine):
    machine.path = machine.path.parent / "none" / "greenpool.yaml"
    with pytest.raises(ControlError, match="cannot write"):
        machine.install()
