"""Fork a worker: what happens between fork(2) and the worker's own code.

The master imports the workers' code before it forks (but makes no hub): a worker that is born
hours later runs the program that the master was started with, even if the files have been
replaced by then, and all of them share its memory. What gevent would import at its first need is
imported here, too: by then the files may be out of the reach of the user that workers run as.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401  (see above)
import logging
import os
import sys
from collections.abc import Callable

import gevent.resolver.thread
import gevent.threadpool  # noqa: F401  (see above)

from greenpool import process
from greenpool.errors import ExitCode, GreenpoolError
from greenpool.master import signals
from greenpool.observe import events

log = logging.getLogger(__name__)


def fork_worker(life: Callable[[], int], disinherit: Callable[[], None], parent: int) -> int:
    """Fork a process that lives `life()` and exits with what that returns; return its pid.

    `disinherit` closes in the child what belongs to the master. Raises: OSError when the system
    has no room for another process.
    """
    sys.stderr.flush()
    with signals.blocked():
        pid = os.fork()
        if pid == 0:
            _be_worker(life, disinherit, parent)
        return pid


def _be_worker(life: Callable[[], int], disinherit: Callable[[], None], parent: int) -> None:
    """Run after fork, and never return: the frames below are the master's."""
    status = int(ExitCode.FAILED)
    try:
        process.die_with(parent)
        signals.forget()
        disinherit()
        status = life()
    except GreenpoolError as exc:
        events.PROCESS_FAILED.tell(log, error=exc)
    except BaseException as exc:  # the outermost frame of this process
        events.BUG.tell(log, exc, what="the worker ends by an error that nobody expected")
    finally:
        logging.shutdown()
        os._exit(status)
