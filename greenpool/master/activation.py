"""Sockets that the service manager listens on and leaves to greenpool (socket activation).

They take the place of those that the configuration asks for: all of them are for clients, and their
files, if they have any, are the service manager's. Later generations inherit them like others.
Source: sd_listen_fds(3).
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

from greenpool.errors import StartupError

_FIRST_FD = 3
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def take(environment: MutableMapping[str, str]) -> list[int]:
    """Return the descriptors left to this process, once; they are closed on exec from now on.

    Raises: StartupError when one is not what clients can connect to.
    """
    pid, count, _ = (environment.pop(name, "") for name in _VARIABLES)
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    fds = list(range(_FIRST_FD, _FIRST_FD + int(count)))
    for fd in fds:
        _check(fd)
        os.set_inheritable(fd, False)
        os.set_blocking(fd, False)
    return fds


def _check(fd: int) -> None:
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            is_right = sock.type == socket.SOCK_STREAM and sock.getsockopt(
                socket.SOL_SOCKET, socket.SO_ACCEPTCONN
            )
    except OSError as exc:
        raise StartupError(f"descriptor {fd} of LISTEN_FDS is no socket: {exc.strerror}") from exc
    if not is_right:
        raise StartupError(f"descriptor {fd} of LISTEN_FDS is no listening stream socket")
