"""The limit on open files: raised before the fork to what the configuration needs.

A worker may come to hold every client, because clients are packed while the load is light, and a
descriptor of every server connection, because servers are shared. So each process needs room for
all of both.
"""

from __future__ import annotations

import logging
import resource
from dataclasses import dataclass

from greenpool.errors import StartupError
from greenpool.observe import events

log = logging.getLogger(__name__)

# Beside clients and servers: listeners, pipes, rings, cancel requests in flight, log, files that
# are read at reload. HAProxy and nginx reserve about as many.
_OWN_FILES = 256
# Of each worker's place there are an eventfd and both ends of an inbox in every process.
_FILES_PER_PLACE = 3


@dataclass(frozen=True, slots=True)
class FileLimit:
    """What was needed and what there is now; `unlimited` comes out as a huge number."""

    needed: int
    granted: int

    @property
    def is_enough(self) -> bool:
        return self.granted >= self.needed


def files_needed(max_connections: int, servers: int, places: int) -> int:
    """Return how many descriptors one worker may come to hold; `servers`: all pool_size summed."""
    return max_connections + servers + places * _FILES_PER_PLACE + _OWN_FILES


def raise_file_limit(needed: int) -> FileLimit:
    """Raise RLIMIT_NOFILE to `needed`, the hard limit too where that is allowed.

    Runs before fork, and before privileges are dropped. Warns with figures when the limit stays
    too low: greenpool then serves fewer clients, and says so to the rest.
    """
    soft, hard = (_finite(each) for each in resource.getrlimit(resource.RLIMIT_NOFILE))
    if soft >= needed:
        return FileLimit(needed, soft)
    for wanted_soft, wanted_hard in ((needed, max(needed, hard)), (min(needed, hard), hard)):
        if _set(wanted_soft, wanted_hard):
            soft = wanted_soft
            break
    limit = FileLimit(needed, soft)
    if not limit.is_enough:
        events.FILES_SHORT.tell(log, files=limit.granted, files_needed=limit.needed)
    return limit


def _set(soft: int, hard: int) -> bool:
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    except (ValueError, PermissionError):
        return False  # above the hard limit without privileges, or above fs.nr_open
    except OSError as exc:
        raise StartupError(f"cannot set the limit on open files: {exc.strerror}") from exc
    return True


def _finite(limit: int) -> int:
    return 1 << 30 if limit == resource.RLIM_INFINITY else limit
