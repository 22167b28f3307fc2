"""What the kernel tells of greenpool's processes, without asking them. Source: proc(5)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PUMP = "pump"
"""The role of processes that are known by a pid which may have become another's."""

_PUMPS_NAME = "greenpool-pump"  # as pump_process.c has it
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process as it is now."""

    role: str
    """master, worker, observer or pump."""
    worker: str
    """The index of a worker, the pid of a pump; empty for the others."""
    cpu_s: float
    resident_bytes: int
    open_files: int


def process_rows(pids: dict[tuple[str, str], int], proc: Path = Path("/proc")) -> list[ProcessRow]:
    """Look at processes by role and worker; one that has just ended is left out."""
    return [row for who, pid in pids.items() for row in _look(proc / str(pid), *who)]


def _look(directory: Path, role: str, worker: str) -> Iterator[ProcessRow]:
    try:
        # Behind the name, which may hold anything: state is field 3 of the manual page.
        name, _, rest = (directory / "stat").read_text().partition("(")[2].rpartition(")")
        open_files = len(os.listdir(directory / "fd"))
    except OSError:
        return
    if role == PUMP and name != _PUMPS_NAME:
        return
    fields = rest.split()
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    yield ProcessRow(role, worker, cpu_s, int(fields[21]) * _PAGE_BYTES, open_files)
