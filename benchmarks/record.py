"""What a run was: the machine, the versions, the command; and its raw samples, kept as JSON."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import greenpool

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = ROOT / "build" / "bench"


@dataclass(frozen=True, slots=True)
class Facts:
    """Hold what somebody needs to judge the figures, or to measure them again."""

    command: str
    started: str
    cpu: str
    cores: int
    kernel: str
    load: float
    versions: tuple[str, ...]

    @property
    def text(self) -> str:
        return (
            f"machine:  {self.cpu}, {self.cores} cores, Linux {self.kernel}, "
            f"load {self.load:.2f} before\n"
            f"versions: {', '.join(self.versions)}\n"
            f"command:  {self.command}"
        )


def facts(arguments: Sequence[str], versions: Sequence[str]) -> Facts:
    """Look at the machine. `versions` are those of the other programs that take part."""
    return Facts(
        command=shlex.join(["scripts/bench", *arguments]),
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        cpu=_cpu_model(Path("/proc/cpuinfo").read_text()),
        cores=len(os.sched_getaffinity(0)),
        kernel=platform.release(),
        load=os.getloadavg()[0],
        versions=(f"greenpool {_greenpool_version()}", *versions),
    )


def program_version(binary: str) -> str:
    """Ask a program for the first line of its --version."""
    done = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[0]


def save(about: Facts, samples: Sequence[DataclassInstance]) -> Path:
    """Write everything that was measured to build/bench/<date>.json."""
    path = place(about, "json")
    content = {"facts": asdict(about), "samples": [asdict(each) for each in samples]}
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def place(about: Facts, suffix: str) -> Path:
    """Return the path of a file of this run: build/bench/<date>.<suffix>."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    date = datetime.fromisoformat(about.started).strftime("%Y-%m-%dT%H%M%S")
    return DIRECTORY / f"{date}.{suffix}"


def _cpu_model(cpuinfo: str) -> str:
    for line in cpuinfo.splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _greenpool_version() -> str:
    """Return the version with the commit it was measured at, and whether that was all."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"],
        capture_output=True,
        text=True,
    )
    commit = f" ({done.stdout.strip()})" if done.returncode == 0 else ""
    return greenpool.__version__ + commit
