"""Know every process that a test started, and see that none is left.

The test process declares itself a *subreaper*: whoever loses its parent becomes its child, so a
daemon or a worker whose master was killed is still among its descendants and cannot hide.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

import psutil

_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants(except_pids: Collection[int] = ()) -> list[psutil.Process]:
    """List the living processes below this one, without those in `except_pids` and theirs.

    Zombies that were adopted are reaped on the way; those of a Popen wait for its owner.
    """
    found: list[psutil.Process] = []
    for child in psutil.Process().children():
        if child.pid in except_pids or _is_dead(child):
            continue
        found.append(child)
        found.extend(each for each in _children(child) if not _is_dead(each))
    return found


def reap_zombies(except_pids: Collection[int] = ()) -> None:
    """Collect the exit status of dead children, as init would: nobody else waits for them."""
    for child in psutil.Process().children():
        if child.pid not in except_pids and _is_dead(child):
            os.waitpid(child.pid, os.WNOHANG)


@contextmanager
def halted(*pids: int) -> Iterator[None]:
    """Have these processes do nothing while the body runs."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def kill_all(processes: Collection[psutil.Process]) -> None:
    """Kill them by pid and wait until they are gone."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(list(processes), timeout=30)


def describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline()) or process.name()}"
    except psutil.Error:
        return f"{process.pid} (gone)"


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _is_dead(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process, so that no signal but KILL reaches it and it says nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
