"""What is packaged is right as far as its own tools can tell."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "packaging/systemd/greenpool.service"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_unit_is_what_systemd_understands(tmp_path: Path) -> None:
    # The program and the user are the package's: here stand some that every machine has.
    text = UNIT.read_text().replace("/usr/bin/greenpool", sys.executable)
    text = text.replace("User=greenpool", "User=daemon").replace("Group=greenpool", "Group=daemon")
    copy = tmp_path / UNIT.name
    copy.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True
    )
    complaints = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, complaints) == (0, [])


def test_unit_calls_commands_that_there_are() -> None:
    lines = [line for line in UNIT.read_text().splitlines() if line.startswith("Exec")]
    for line in lines:
        _, *arguments = line.partition("=")[2].split()
        done = subprocess.run(
            [sys.executable, "-m", "greenpool", arguments[0], "--help"], capture_output=True
        )
        assert done.returncode == 0, line
