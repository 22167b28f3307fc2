"""Build the packages that the tests install: each once in a run, by scripts/package."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
BUILD_DEADLINE_S = 300.0
"""Of one build, the engine's included, on a busy machine."""


@dataclass(frozen=True, slots=True)
class Packages:
    """Name the packages of one build, and the layout of its segment."""

    deb: Path
    rpm: Path
    common: str
    """The version of what two generations share."""


def build(output: Path, revision: int, commit: str | None = None) -> Packages:
    """Package the checkout, or a commit."""
    options = ["--output", str(output), "--revision", str(revision)]
    options += ["--commit", commit] if commit else []
    done = subprocess.run(
        [
            str(_ROOT / "scripts/package"),
            *options,
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
    deb, rpm = (Path(line) for line in done.stdout.splitlines())
    return Packages(deb, rpm, _common(commit))


def previous_commit() -> str:
    """Return the commit before this one; skip the test where there is none to package."""
    name = _git("rev-parse", "--verify", "--quiet", "HEAD~1")
    if name is None:
        pytest.skip("the commit before this one is not in this clone")
    if _git("cat-file", "-e", f"{name}:packaging/steps.sh") is None:
        pytest.skip("the commit before this one is older than the packages")
    return name


def _common(commit: str | None) -> str:
    of_commit = [commit] if commit else []
    line = _git("grep", "-h", "^#define GP_COMMON_VERSION ", *of_commit, "--", "_cparser/*.h")
    return line.split()[2] if line else "older than what is common"


def _git(*arguments: str) -> str | None:
    """Return what git prints; None when it fails."""
    done = subprocess.run(["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None
