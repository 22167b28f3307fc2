"""greenpool's command line with a trivial worker and a segment that only takes notes.

Run by `house.py`. All else is real: processes, signals, sockets, files. What happens is told in
lines on the descriptor GREENPOOL_EVENTS; what a worker does is chosen by GREENPOOL_BEHAVIOUR.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from greenpool import cli
from greenpool.errors import EngineError, ExitCode
from greenpool.master import main as master
from greenpool.records import TIME_BUCKETS, Refusal, Visit
from greenpool.rows import Times, WorkerRow
from greenpool.worker.control import (
    Command,
    ControlReader,
    ControlSender,
    Drain,
    HandOver,
    Listen,
    Ready,
    Reload,
)
from greenpool.worker.control import Reloaded as HasReloaded

_EVENTS = int(os.environ["GREENPOOL_EVENTS"])
_FIRST_PLACES = 2  # those of the first generation: see `House.configure`


def tell(*words: object) -> None:
    os.write(_EVENTS, (" ".join(map(str, words)) + "\n").encode())


class NotingSegment:
    """Take note of what the master does; refuse a pool named "toomany", be blind to "unseen"."""

    def __init__(
        self, workers: int, pools_max: int, clients_max: int, is_fresh: bool = True
    ) -> None:
        self.is_fresh = is_fresh
        self.workers = workers
        self.pools_max = pools_max
        self.clients_max = clients_max
        self._pools: list[tuple[str, str]] = []

    @property
    def chronicle(self) -> NotingSegment:
        return self

    def add(self, kind: int, worker: int | None, text: str) -> None:
        """Keep an event, of which nobody asks for more than the number."""

    def count(self, kind: int) -> int:
        return 0

    @classmethod
    def create(cls, workers: int, pools_max: int, clients_max: int) -> NotingSegment:
        tell("create", workers, pools_max, clients_max)
        return cls(workers, pools_max, clients_max)

    @classmethod
    def attach(cls, fd: int, common_fd: int) -> NotingSegment:
        tell("attach")
        return cls(16, 64, 8200, is_fresh=False)

    def fds(self) -> list[int]:
        # There is no memory, but a successor is to tell of itself, too.
        return [_EVENTS, _EVENTS]

    def close(self) -> None:
        tell("close")

    def limits(self, clients_limit: int, max_creates: int) -> None:
        tell("limits", clients_limit, max_creates)

    def bound_memory(self, limit_bytes: int) -> None:
        tell("bound_memory", limit_bytes)

    def define_pool(self, database: str, user: str, settings: Any) -> int:
        if database == "toomany":
            raise EngineError(f'pool "{database}": a bound is reached')
        if (database, user) not in self._pools:
            self._pools.append((database, user))
        tell("define", database, user, settings.size)
        return self._pools.index((database, user))

    def define_database(self, name: str, settings: Any) -> int:
        return 0

    def database_rows(self) -> list[Any]:
        return []

    def remove_pool(self, index: int) -> None:
        tell("remove", *self._pools[index])

    def renew_pool(self, index: int) -> None:
        tell("renew", *self._pools[index])

    def accept(self, worker: int, wanted: bool) -> None:
        tell("accept", worker, wanted)

    def reclaim(self, worker: int) -> None:
        tell("reclaim", worker)

    def pool_rows(self) -> list[Any]:
        if ("unseen", "app") in self._pools:
            raise EngineError("nothing can be seen")
        return []

    def times(self, kind: Any, pool: int | None = None, worker: int | None = None) -> Times:
        return Times(0, [0] * TIME_BUCKETS)

    def pump_pids(self) -> list[int]:
        return []

    def worker_rows(self) -> list[WorkerRow]:
        return [
            WorkerRow(
                *(index, 0, 1, 1, 7, 250, 0, 0, 0, 0),
                *((0,) * len(Refusal), (0, 0, 0), 0, 0, (0,) * len(Visit), 0, 0),
            )
            for index in range(self.workers)
        ]


def serve(context: Any) -> int:
    """Do what a worker owes its master, and no more."""
    return _converse(context, obey_drain=True)


def resist(context: Any) -> int:
    """Hear of the end, and stay."""
    return _converse(context, obey_drain=False)


def die(context: Any) -> int:
    tell("born", context.index)
    return 1


def die_later(context: Any) -> int:
    """Serve in the first generation, die in all that come after."""
    return serve(context) if context.index < _FIRST_PLACES else 1


def refuse(context: Any) -> int:
    return ExitCode.DO_NOT_RESPAWN


def reload_once(context: Any) -> int:
    """Pass on the command of an administrator."""
    ControlSender(context.control).send(Command("reload"))
    return serve(context)


def shut_down(context: Any) -> int:
    ControlSender(context.control).send(Command("shutdown"))
    return serve(context)


def _converse(context: Any, obey_drain: bool) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sender, reader = ControlSender(context.control), ControlReader(context.control)
    descriptors = len(os.listdir("/proc/self/fd"))
    tell("serving", context.index, os.getpid(), descriptors, len(context.boot_secret))
    sender.send(Ready())
    while (messages := reader.receive()) is not None:
        for message in messages:
            if isinstance(message, Reload):
                tell("told", context.index, message.config.general.port, *message.config.pools)
                sender.send(HasReloaded())
            elif isinstance(message, Listen):
                tell("listen", context.index)
            elif isinstance(message, HandOver):
                tell("hand_over", context.index, *message.places)
                return 0
            elif isinstance(message, Drain):
                tell("drain", context.index, message.timeout_s)
                if obey_drain:
                    return 0
    signal.pause()
    return 0


_BEHAVIOURS: Mapping[str, Callable[[Any], int]] = {
    each.__name__: each for each in (serve, resist, die, die_later, refuse, reload_once, shut_down)
}


if __name__ == "__main__":
    life = _BEHAVIOURS[os.environ["GREENPOOL_BEHAVIOUR"]]
    vars(master).update(Segment=NotingSegment, run_worker=life)  # the point of this program
    sys.exit(cli.run(sys.argv[1:]))
