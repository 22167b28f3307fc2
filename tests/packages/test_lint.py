"""What the distributions' own checkers say of the packages."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packages.building import Packages
from tests.packages.marks import NEEDS_A_SYSTEM

pytestmark = NEEDS_A_SYSTEM

FILTERS = Path(__file__).parents[2] / "packaging/rpm/rpmlint.toml"


def errors_of(*command: str) -> list[str]:
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout, done.stderr
    return [line for line in done.stdout.splitlines() if "E: " in line]


def test_lintian_finds_no_error(packages: tuple[Packages, Packages]) -> None:
    command = ["lintian", "--allow-root", "--info", "--tag-display-limit", "0"]
    assert errors_of(*command, str(packages[0].deb)) == []


def test_rpmlint_finds_no_error(packages: tuple[Packages, Packages]) -> None:
    assert errors_of("rpmlint", "--config", str(FILTERS), str(packages[0].rpm)) == []
