"""Find out what workers wait for their sockets with. Runs in the master, before the fork.

io_uring needs Linux 6.1, and may be forbidden by an administrator or a container's seccomp profile:
the one way to know is to make a ring.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from greenpool.config import IoBackend
from greenpool.engine import io_uring_refusal
from greenpool.errors import StartupError
from greenpool.records import EngineIo

_REASONS = {
    errno.ENOSYS: "this kernel has none, or a seccomp profile hides it",
    errno.EINVAL: "Linux 6.1 or newer is needed",
    errno.EPERM: "forbidden by kernel.io_uring_disabled or a seccomp profile",
    errno.EACCES: "forbidden by a security module",
}


@dataclass(frozen=True, slots=True)
class IoChoice:
    """What workers will use; `refusal` says why it is not io_uring, None if that was not tried."""

    io: EngineIo
    refusal: str | None = None


def choose(wanted: IoBackend) -> IoChoice:
    """Return what `general.io_backend` comes to on this machine.

    Raises: StartupError when io_uring is asked for by name and cannot be used.
    """
    if wanted is IoBackend.EPOLL:
        return IoChoice(EngineIo.EPOLL)
    refusal = io_uring_refusal()
    if not refusal:
        return IoChoice(EngineIo.URING)
    reason = _REASONS.get(refusal, os.strerror(refusal))
    if wanted is IoBackend.IO_URING:
        raise StartupError(f"general.io_backend: io_uring cannot be used: {reason}")
    return IoChoice(EngineIo.EPOLL, reason)
