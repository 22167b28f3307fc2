"""What a process may be told about itself: its user, its parent's death, its cores."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal

from greenpool.errors import StartupError

# Source: linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)


def drop_privileges(user: str) -> None:
    """Become `user` for good, if started as root. Runs before fork.

    Started as someone else: nothing happens if that is `user`, otherwise the configuration asks
    for what cannot be. Raises: StartupError.
    """
    try:
        account = pwd.getpwnam(user)
    except KeyError as exc:
        raise StartupError(f'general.user: there is no user "{user}" on this machine') from exc
    if os.geteuid() == account.pw_uid:
        return
    if os.geteuid() != 0:
        raise StartupError(
            f'general.user: only root can become "{user}"; start greenpool as root or as "{user}"'
        )
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def harden(core_dumps: bool) -> None:
    """Give up what a pooler never needs, for this process and those it forks. Runs before fork.

    No program that it starts gains privileges by set-user-id. Unless `core_dumps`, its memory,
    which holds secrets, is in no core dump, and none but root may trace it or read it in /proc.
    Raises: StartupError.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, "cannot give up new privileges")
    # Becoming another user has switched dumps off: so it is said both ways.
    _prctl(_PR_SET_DUMPABLE, int(core_dumps), "cannot say whether to dump core")


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent` dies. Runs after fork, in the child.

    SIGKILL, because a worker without its master has nobody who would ever end it. If the parent
    died before the kernel was told, exit at once.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, "cannot ask for the master's death signal")
    if os.getppid() != parent:
        os._exit(0)


def outlive_parent() -> None:
    """Take `die_with` back: this process ends by itself, and soon."""
    _prctl(_PR_SET_PDEATHSIG, 0, "cannot outlive the master")


def pin(index: int) -> int:
    """Pin this process to the index-th core it may use, round and round; return that core."""
    cores = sorted(os.sched_getaffinity(0))
    core = cores[index % len(cores)]
    os.sched_setaffinity(0, {core})
    return core


def _prctl(option: int, value: int, failure: str) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise StartupError(f"{failure}: {os.strerror(ctypes.get_errno())}")
