"""The pid file: proof that one master runs, by lock; where to find it, by name.

The lock (flock) is the truth, the number in the file is for people and scripts. The kernel drops
the lock when the last copy of the descriptor is closed, so a file that was left behind by a dead
master is recognized whatever pid it names. Workers close their copy right after the fork.
"""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path

from greenpool.errors import StartupError
from greenpool.observe import events

log = logging.getLogger(__name__)

_MODE = 0o644
_PID_DIGITS = 20


class PidFile:
    """Hold the lock on a pid file; made by `acquire`."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    @classmethod
    def acquire(cls, path: Path) -> PidFile:
        """Create or take over the file and write this process's pid into it.

        Raises: StartupError when another master holds it, or it cannot be written.
        """
        while True:
            fd = _open(path)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                pid = _pid_in(fd)
                os.close(fd)
                raise StartupError(
                    f'greenpool is already running with pid {pid} (pid file "{path}"): '
                    "stop it first, or give this one another pid_file and port"
                ) from exc
            if _is_still(path, fd):
                break
            os.close(fd)  # its master removed it between our open and our lock
        stale = _pid_in(fd)
        if stale:
            events.PID_FILE_REPLACED.tell(log, path=path, stale_pid=stale)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return cls(path, fd)

    def move_to(self, path: Path) -> None:
        """Take the place of the pid file of another master, which ends or has ended.

        Whoever reads that finds a whole number and a lock at any instant.
        """
        self.path.rename(path)
        self.path = path

    def release(self) -> None:
        """Remove the file, then drop the lock: nobody finds an unlocked file of ours.

        The file of a successor that has taken its place stays.
        """
        if _is_still(self.path, self._fd):
            self.path.unlink(missing_ok=True)
        os.close(self._fd)

    def close_in_child(self) -> None:
        """Drop a worker's copy, lest the lock outlive the master. Runs after fork."""
        os.close(self._fd)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
    except OSError as exc:
        raise StartupError(
            f'cannot write the pid file "{path}": {exc.strerror}; '
            "set general.pid_file, or --pid-file, to a file in a directory of this user"
        ) from exc


def _pid_in(fd: int) -> str:
    text = os.pread(fd, _PID_DIGITS, 0).decode("ascii", "replace").strip()
    return text if text.isdigit() else ""


def _is_still(path: Path, fd: int) -> bool:
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(fd)
    return (named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino)
