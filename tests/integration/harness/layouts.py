"""greenpool with another layout of the shared segment: what upgrades between versions meet."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.integration.harness.installed import GOOD

ROOT = Path(__file__).resolve().parents[3]
LIB = ROOT / "build" / "shifted" / "lib"
BUILD_DEADLINE_S = 400.0

ANOTHER = f"import sys\nsys.path.insert(0, {str(LIB)!r})\n{GOOD}"
"""A program to be installed; `build_another` comes before it."""


def build_another() -> None:
    """Build it, unless that has been done; whoever else wants it at this moment waits."""
    done = subprocess.run(
        [ROOT / "scripts" / "build", "--shifted"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
