"""What the kernel tells of greenpool's processes, without asking them. Source: proc(5)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process as it is now."""

    role: str
    """master, worker or observer."""
    worker: str
    """The index of a worker; empty for the others."""
    cpu_s: float
    resident_bytes: int
    open_files: int


def process_rows(pids: dict[tuple[str, str], int], proc: Path = Path("/proc")) -> list[ProcessRow]:
    """Look at processes by role and worker; one that has just ended is left out."""
    return [row for who, pid in pids.items() for row in _look(proc / str(pid), *who)]


def _look(directory: Path, role: str, worker: str) -> Iterator[ProcessRow]:
    try:
        # Behind the name, which may hold anything: state is field 3 of the manual page.
        fields = (directory / "stat").read_text().rpartition(")")[2].split()
        open_files = len(os.listdir(directory / "fd"))
    except OSError:
        return
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    yield ProcessRow(role, worker, cpu_s, int(fields[21]) * _PAGE_BYTES, open_files)
