"""Free TCP ports, locked against every other test process of this machine.

A port that was free a moment ago may be taken by a neighbour who looked at the same moment, so
each port has a lock file that is held as long as the port is ours. The range lies below the ports
that the kernel gives to outgoing connections.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

_FIRST, _LAST = 20000, 32000
_DIRECTORY = Path(tempfile.gettempdir()) / f"greenpool-ports-{os.geteuid()}"


class PortLock:
    """Hold one port of 127.0.0.1; whoever starts a server on it keeps this object meanwhile."""

    def __init__(self) -> None:
        _DIRECTORY.mkdir(mode=0o700, exist_ok=True)
        start = random.randrange(_FIRST, _LAST)
        for port in itertools.chain(range(start, _LAST), range(_FIRST, start)):
            lock = _lock(port)
            if lock is None:
                continue
            if _is_free(port):
                self.port, self._lock = port, lock
                return
            lock.close()
        raise RuntimeError(f"no free port between {_FIRST} and {_LAST}")

    def release(self) -> None:
        self._lock.close()


def _lock(port: int) -> IO[str] | None:
    file = (_DIRECTORY / str(port)).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
