"""Build the projects of this directory, and run their programs.

A project is a folder in the language's own form: a manifest with exact versions, and sources. It is
built in `build/drivers/<name>/`, once for each content of the folder. A project whose toolchain is
missing is skipped, and the reason named; where it is there, a build that fails is a failed test.
GREENPOOL_DRIVERS says how much is done:

    (not set)  nothing is built but what `always` is; what has been built before runs
    build      what can be built is, and runs on the newest PostgreSQL: scripts/test
    all        the same on every version: scripts/test --drivers

A program gets the connection string in GREENPOOL_DSN and the seed of its random choices in
GREENPOOL_SEED. It prints the scenes that it has played and ends with exit code 0 if all went well.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_EXTENT = os.environ.get("GREENPOOL_DRIVERS", "")
EVERY_VERSION = _EXTENT == "all"
_BUILDS = _EXTENT in ("build", "all")

BUILD_DEADLINE_S = 300.0
"""Of one project, downloads included: some thirty seconds of a machine that has two cores."""
RUN_DEADLINE_S = 90.0
TEST_DEADLINE_S = BUILD_DEADLINE_S + RUN_DEADLINE_S + 60

_HERE = Path(__file__).parent
_BUILD = _HERE.parent.parent / "build" / "drivers"


@dataclass(frozen=True, slots=True)
class Project:
    """Name a folder, the programs that it takes to build and run it, and the steps of the build.

    Each step is a command that runs in `src`, a copy of the folder; "{build}" in it is the
    project's place below build/drivers. `sources` are the files that the build is made of.
    `libraries` are what a package manager installs beside the tools, by their Debian names, each
    with a command that succeeds where it is there; who needs no more than those has no steps.
    """

    name: str
    tools: Sequence[str]
    steps: Sequence[Sequence[str]] = ()
    libraries: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sources: str = "**/*"
    always: bool = False

    @property
    def build(self) -> Path:
        return _BUILD / self.name

    def make(self) -> None:
        """Build it unless that is done; skip the test where it cannot be.

        Processes that want the same project wait for the one that is building it.
        """
        missing = self._missing()
        if missing:
            pytest.skip(f"{self.name}: {' and '.join(missing)} not installed")
        fingerprint = self._fingerprint()
        stamp = self.build / "stamp"
        with _locked(_BUILD / f"{self.name}.lock"):
            if stamp.exists() and stamp.read_text() == fingerprint:
                return
            if self.steps and not (_BUILDS or self.always):
                pytest.skip(f"{self.name}: not built yet, scripts/test --drivers builds it")
            stamp.unlink(missing_ok=True)
            source = self.build / "src"
            shutil.rmtree(source, ignore_errors=True)
            shutil.copytree(_HERE / self.name, source, ignore=_IGNORED)
            for step in self.steps:
                words = [word.format(build=self.build) for word in step]
                _run(words, source, {}, BUILD_DEADLINE_S)
            stamp.write_text(fingerprint)

    def _missing(self) -> list[str]:
        """Name what this machine has not got."""
        tools = [tool for tool in self.tools if shutil.which(tool) is None]
        return tools or [name for name, probe in self.libraries.items() if not _succeeds(probe)]

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(repr(self.steps).encode())
        for path in sorted((_HERE / self.name).glob(self.sources)):
            if path.is_file():
                digest.update(f"{path.relative_to(_HERE)}\0".encode())
                digest.update(path.read_bytes())
        return digest.hexdigest()


_IGNORED = shutil.ignore_patterns("__pycache__")


@dataclass(frozen=True, slots=True)
class Program:
    """Name a program of a project: the command, run in `cwd` (None: the copy of the sources)."""

    project: Project
    command: Sequence[str]
    cwd: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, dsn: str) -> str:
        """Run the program of a project that has been made, return its output; or fail with it."""
        return _run(self.words, self.directory, self.variables(dsn), RUN_DEADLINE_S)

    @property
    def words(self) -> list[str]:
        return [word.format(build=self.project.build) for word in self.command]

    @property
    def directory(self) -> Path:
        return self.cwd or self.project.build / "src"

    def variables(self, dsn: str) -> dict[str, str]:
        """Return what the program is told by its environment."""
        build = self.project.build
        return {
            **{name: value.format(build=build) for name, value in self.environment.items()},
            "GREENPOOL_DSN": dsn,
            "GREENPOOL_SEED": str(random.SystemRandom().randrange(1 << 31)),
        }


def _run(
    command: Sequence[str], directory: Path, variables: Mapping[str, str], deadline_s: float
) -> str:
    """Run a command to its end; its output, and what it was told, go to the test's output."""
    print(f"$ {' '.join(command)}", *(f"{name}={value}" for name, value in variables.items()))
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=deadline_s,
        )
    except subprocess.TimeoutExpired as exc:
        output = exc.stdout.decode(errors="replace") if exc.stdout else ""
        pytest.fail(f"{command[0]} did not end within {deadline_s:g} s\n{output}", pytrace=False)
    print(done.stdout)
    if done.returncode != 0:
        pytest.fail(
            f"{' '.join(command)} ended with {done.returncode}, "
            f"GREENPOOL_SEED={variables.get('GREENPOOL_SEED')}\n{done.stdout}",
            pytrace=False,
        )
    return done.stdout


def _succeeds(command: Sequence[str]) -> bool:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    return done.returncode == 0


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
