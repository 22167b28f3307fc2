"""The pools that logins make, as one worker asks for them and loses them: those of users whom
auth_query finds, and of databases that only the template is for.

    somebody logs in ──Wanted──► master ──Made──► all workers ──► the login goes on
    nobody uses it: master ──Release──► all workers ──Released──► master

Law: the master alone makes and removes pools; a worker says that it has forgotten one only when
none of its logins is on the way there and none of its clients is served there. Partner:
`master/found_pools.py`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from gevent.event import AsyncResult

from greenpool.config import PoolKey, guest_member, home_of
from greenpool.protocol.errors import ClientError, Severity, SqlState
from greenpool.worker import check_query
from greenpool.worker.control import Made, NotMade, Release, Released, Wanted

if TYPE_CHECKING:
    from greenpool.worker.pools import PoolEntry
    from greenpool.worker.state import Worker


class FoundPools:
    """One worker's half of the conversation."""

    __slots__ = ("_guests", "_wanted", "_worker")

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._wanted: dict[PoolKey, AsyncResult] = {}
        self._guests: Counter[PoolKey] = Counter()  # logins, by the pool that they are going to

    def enter(self, database: str, user: str) -> PoolEntry:
        """Return the pool of a user who has proved who it is; made if there is none.

        It stays until `leave`. Switches: maybe; the caller has a deadline. Raises: ClientError when
        there can be none.
        """
        while (entry := self._worker.pools.of_key(key := self._home(database, user))) is None:
            answer = self._wanted.get(key)
            if answer is None:
                answer = self._wanted[key] = AsyncResult()
                self._worker.tell(Wanted(key))
            error = answer.get()
            if error is not None:
                raise error
        self._guests[entry.key] += 1
        return entry

    def _home(self, database: str, user: str) -> PoolKey:
        """Name the pool of a user: its own, or that of all who are found."""
        key = home_of(self._worker.config, database, user)
        if key is None:
            message = "the pool has been removed"  # by a reload, since the user was looked up
            raise ClientError(Severity.FATAL, SqlState.ADMIN_SHUTDOWN, message)
        return key

    def leave(self, key: PoolKey) -> None:
        """Say that a login is served now, or has come to nothing."""
        self._guests[key] -= 1
        if not self._guests[key]:
            del self._guests[key]

    def on_made(self, message: Made) -> None:
        """Take in a pool. Switches: no."""
        worker = self._worker
        member = guest_member(worker.config, *message.key)
        if member is not None:
            check_query.set_up_one(worker, worker.pools.add(message.index, member))
        self._answer(message.key, None)

    def discover(self, index: int) -> PoolEntry | None:
        """Take in a pool whose client has been quicker than the master's word. Switches: no."""
        row = self._worker.segment.pool_row(index)
        if row is None or guest_member(self._worker.config, row.database, row.user) is None:
            return None
        self.on_made(Made((row.database, row.user), index))
        return self._worker.pools.at(index)

    def on_not_made(self, message: NotMade) -> None:
        """Tell those who wait. Switches: no."""
        error = ClientError(Severity.FATAL, SqlState.TOO_MANY_CONNECTIONS, message.why)
        self._answer(message.key, error)

    def on_release(self, message: Release) -> None:
        """Forget a pool if nobody here needs it, and say so. Switches: no."""
        worker = self._worker
        entry = worker.pools.of_key(message.key)
        if entry is not None and guest_member(worker.config, *message.key) is not None:
            row = worker.segment.pool_row(entry.index)
            is_used = row is not None and row.cl_active + row.cl_idle + row.cl_waiting > 0
            if message.key in self._guests or is_used:
                worker.tell(Released(message.key, message.serial, is_gone=False))
                return
            worker.pools.drop(entry)
        worker.tell(Released(message.key, message.serial, is_gone=True))

    def _answer(self, key: PoolKey, error: ClientError | None) -> None:
        answer = self._wanted.pop(key, None)
        if answer is not None:
            answer.set(error)
