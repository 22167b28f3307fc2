"""The pools that logins make: of users whom auth_query finds, and of databases that only the
template is for. One is made when it is wanted first, and given up when it is unused.

    (none) ──Wanted──► SERVING ──nobody for idle_timeout──► RELEASING ──all gone──► (none)
                          ▲                                     │
                          └── needed still, Wanted, a reload ──┘

Law: a place of the segment changes its name only after every living worker has said that it has
forgotten the old one, and nobody is there. So a worker that died, or is born meanwhile, needs no
care: who is not told of a pool cannot name it. Of several generations that share the segment one
at a time makes pools, and none gives any up (`Rights`): a new one finds those of the old one in the
segment when it takes over, and makes what logins that are still in the old one's hands want.
Whoever wants a pool is answered once, when it is there or cannot be. Runs in master.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeAlias

from greenpool.config import PoolKey, lookup_of, pool_of
from greenpool.errors import EngineError
from greenpool.master.estate import Estate
from greenpool.master.slot import WorkerSlot
from greenpool.master.workers import Workers
from greenpool.observe import events
from greenpool.rows import PoolRow
from greenpool.tallies import Tally
from greenpool.worker.control import Made, NotMade, Release, Released, Wanted

log = logging.getLogger(__name__)

LOOK_S = 2.0
"""Time between two looks for pools that nobody uses."""


class PoolState(Enum):
    """Where a found user's pool is in its life."""

    SERVING = auto()
    RELEASING = auto()


class Rights(Enum):
    """What a generation may do, beside others."""

    ALL = auto()
    MAKE = auto()  # but give nothing up: logins of the generation before may be on their way there
    LATER = auto()  # nothing for the moment: who wants a pool waits
    NONE = auto()  # it is the next generation's to make pools


Answer: TypeAlias = Callable[[Made | NotMade], object]


@dataclass(slots=True)
class _FoundPool:
    index: int
    state: PoolState = PoolState.SERVING
    quiet_since: float | None = None  # time.monotonic() of the first look that found nobody
    serial: int = 0  # of the release: answers to an older one mean nothing
    owed: set[int] = field(default_factory=set)  # pids of workers that have not answered it


class FoundPools:
    """Make pools for workers that want them, and take unused ones away."""

    def __init__(
        self,
        estate: Estate,
        workers: Workers,
        rights: Callable[[], Rights],
        ask_successor: Callable[[PoolKey], bool],
    ) -> None:
        """`ask_successor`: for a pool; False: it does not hear that now. `answered` follows."""
        self._live = estate.live
        self._segment = estate.segment
        self._tallies = estate.tallies
        self._workers = workers
        self._rights = rights
        self._ask_successor = ask_successor
        self._waiting: list[tuple[Wanted, Answer]] = []
        self._asked: set[PoolKey] = set()  # of those, what the successor has been asked for
        self._pools: dict[PoolKey, _FoundPool] = {}
        self._serial = 0
        self._next_look = 0.0

    # ---- what workers say, and the masters before and after ----------------------------------

    def want(self, wanted: Wanted, answer: Answer) -> None:
        """Make the pool that somebody asks for, and tell all; or say why not."""
        pool, rights = self._pools.get(wanted.key), self._rights()
        if pool is not None and pool.state is PoolState.RELEASING:
            self._keep(wanted.key, pool)
        if pool is not None:
            answer(Made(wanted.key, pool.index))
        elif rights in (Rights.LATER, Rights.NONE):
            self._waiting.append((wanted, answer))
        else:
            self._try_to_make(wanted.key, answer)

    def make_wanted(self) -> None:
        """Make the pools that have been waited for."""
        waiting, self._waiting = self._waiting, []
        for wanted, answer in waiting:
            self._try_to_make(wanted.key, answer)

    def answered(self, message: Made | NotMade) -> None:
        """Pass on what the next generation says of a pool that it was asked for."""
        self._asked.discard(message.key)
        if isinstance(message, Made):
            message = self._furnish(message)
        answers = [answer for wanted, answer in self._waiting if wanted.key == message.key]
        self._waiting = [each for each in self._waiting if each[0].key != message.key]
        for answer in answers:
            answer(message)

    def _furnish(self, made: Made) -> Made | NotMade:
        """See that a pool of the next generation's has settings here: its layout may be another."""
        row = self._segment.pool_row(made.index)
        if row is not None and row.settings.size:
            return made
        try:
            self._live.add_found(made.key)
        except EngineError as exc:
            return NotMade(made.key, str(exc))
        return made

    def _try_to_make(self, key: PoolKey, answer: Answer) -> None:
        try:
            if key not in self._pools:
                self._make(key)
        except EngineError as exc:
            events.POOL_REFUSED.tell(log, user=key[1], database=key[0], error=exc)
            answer(NotMade(key, "there is no room for another pool"))
        else:
            answer(Made(key, self._pools[key].index))

    def acknowledge(self, slot: WorkerSlot, answer: Released) -> None:
        """Note what a worker answers to Release."""
        pool = self._pools.get(answer.key)
        if pool is None or pool.serial != answer.serial or pool.state is not PoolState.RELEASING:
            return
        pool.owed.discard(slot.pid)
        if not answer.is_gone:
            self._keep(answer.key, pool)

    def _ask(self) -> None:
        """Ask the next generation for what is waited for; it keeps a pool until this one ends."""
        unasked = {wanted.key for wanted, _ in self._waiting} - self._asked
        self._asked |= {key for key in unasked if self._ask_successor(key)}

    # ---- what goes by time, by reload and by upgrade -----------------------------------------

    def adopt(self) -> None:
        """Go on with the pools that are there, whichever generation has made them."""
        self._pools.clear()
        self._next_look = time.monotonic() + LOOK_S
        for key in self._live.found:
            index = self._live.pools[key]
            self._pools[key] = _FoundPool(index)
            self._tell(Made(key, index))

    def keep_all(self) -> None:
        """Take back every release under way: a reload says anew which pools there are."""
        for key, pool in self._pools.items():
            if pool.state is PoolState.RELEASING:
                self._keep(key, pool)

    def follow(self) -> None:
        """Look after what a reload has made of the pools: some are gone, some were configured."""
        self._pools = {
            key: self._pools.get(key) or _FoundPool(self._live.pools[key])
            for key in self._live.found
        }

    def manage(self) -> None:
        """Look for unused pools when it is time; end the releases that all have answered."""
        rights = self._rights()
        if rights is Rights.NONE:
            self._ask()
        elif rights is not Rights.LATER:
            self._asked.clear()
            waiting, self._waiting = self._waiting, []
            for wanted, answer in waiting:
                self.want(wanted, answer)
        if rights is not Rights.ALL:
            self.keep_all()
            return
        alive = {slot.pid for slot in self._workers.alive()}
        for key, pool in list(self._pools.items()):
            if pool.state is PoolState.RELEASING and not pool.owed & alive:
                self._end(key, pool)
        if self._pools and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_S
            self._look()

    def next_due(self) -> float | None:
        """Return when (time.monotonic) to look again; None: there is nothing to look at."""
        return self._next_look if self._pools and self._rights() is Rights.ALL else None

    # ---- private -----------------------------------------------------------------------------

    def _make(self, key: PoolKey) -> None:
        """Define a pool and tell all workers. Raises: EngineError."""
        index = self._live.add_found(key)
        if not self._pools:
            self._next_look = time.monotonic() + LOOK_S
        self._pools[key] = _FoundPool(index)
        self._count(key, Tally.POOLS_CREATED)
        log.debug('pool %d is for user "%s" of "%s"', index, key[1], key[0])
        self._tell(Made(key, index))

    def _keep(self, key: PoolKey, pool: _FoundPool) -> None:
        """Go on with a pool that was being released; who has forgotten it hears of it again."""
        pool.state, pool.quiet_since = PoolState.SERVING, None
        self._live.show_found(key, pool.index)
        self._tell(Made(key, pool.index))

    def _look(self) -> None:
        rows = {row.index: row for row in self._segment.pool_rows()}
        now = time.monotonic()
        for key, pool in self._pools.items():
            if pool.state is not PoolState.SERVING:
                continue
            if not _is_unused(rows.get(pool.index)):
                pool.quiet_since = None
            elif pool.quiet_since is None:
                pool.quiet_since = now
            elif now - pool.quiet_since >= self._patience_s(key):
                self._release(key, pool)

    def _patience_s(self, key: PoolKey) -> float:
        """Return how long a pool may be unused, as long as a server of it might."""
        pool = pool_of(self._live.config, key[0])
        return pool.idle_timeout_ms / 1000 if pool and pool.idle_timeout_ms else math.inf

    def _release(self, key: PoolKey, pool: _FoundPool) -> None:
        self._serial += 1
        pool.state, pool.serial = PoolState.RELEASING, self._serial
        pool.owed = {slot.pid for slot in self._workers.alive()}
        self._live.hide_found(key)  # who is born now does not hear of it
        self._tell(Release(key, pool.serial))

    def _end(self, key: PoolKey, pool: _FoundPool) -> None:
        if not _is_unused(self._segment.pool_row(pool.index)):
            self._keep(key, pool)
            return
        del self._pools[key]
        self._live.remove_found(key, pool.index)
        self._count(key, Tally.POOLS_DESTROYED)
        log.debug('pool %d of user "%s" of "%s" is gone', pool.index, key[1], key[0])

    def _tell(self, message: Made | Release) -> None:
        for slot in self._workers.alive():
            self._workers.send(slot, message)

    def _count(self, key: PoolKey, tally: Tally) -> None:
        lookup = self._live.pools.get(lookup_of(self._live.config, key[0]))
        if lookup is not None:
            self._tallies.add(lookup, self._tallies.master, tally)


def _is_unused(row: PoolRow | None) -> bool:
    """Say whether a pool has neither clients nor servers. One that is not there has none.

    What the administrator has said of a pool (PAUSE, DISABLE) would be forgotten with it.
    """
    if row is None:
        return True
    if row.held:
        return False
    clients = row.cl_active + row.cl_idle + row.cl_waiting + row.cl_login
    servers = row.sv_active + row.sv_idle + row.sv_login + row.sv_canceled + row.sv_closing
    return clients + servers == 0
