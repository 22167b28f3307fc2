"""The CPU time that a group of processes has used.

Law: a figure is worth nothing when a process came or went between two looks, so `spent` refuses.
The processes are found in /proc; the time is read from each process's CPU clock, because
/proc/PID/stat has the same sum (utime + stime, all threads) in steps of 10 ms only.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Mapping

import psutil

from benchmarks.errors import BenchError

Usage = Mapping[int, float]
"""CPU seconds since its start, of each process by its pid."""

_libc = ctypes.CDLL(None, use_errno=True)


def usage(root: int) -> Usage:
    """Look at a process and all below it. Raises: BenchError when one ends meanwhile."""
    try:
        below = psutil.Process(root).children(recursive=True)
    except psutil.NoSuchProcess as exc:
        raise BenchError(f"process {root} has ended") from exc
    return {pid: _cpu_s(pid) for pid in (root, *(each.pid for each in below))}


def spent(before: Usage, after: Usage) -> float:
    """Sum up the seconds between two looks. Raises: BenchError when the processes differ."""
    if before.keys() != after.keys():
        raise BenchError(
            f"processes came or went while they were measured: {sorted(before)}, {sorted(after)}"
        )
    return sum(after[pid] - before[pid] for pid in before)


def _cpu_s(pid: int) -> float:
    clock = ctypes.c_int()
    error = _libc.clock_getcpuclockid(pid, ctypes.byref(clock))
    if error:
        raise BenchError(f"process {pid} has ended: {os.strerror(error)}")
    try:
        return time.clock_gettime(clock.value)
    except OSError as exc:
        raise BenchError(f"process {pid} has ended") from exc
