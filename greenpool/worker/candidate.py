"""Whom a client says it is: known before it is asked anything, let in after it has proved it.

    find --> Candidate: account (None: nobody) --the exchange--> proved --> its pool
                                                       \\-> refused

Law: what happens until the end of the exchange is the same for those who exist and those who do
not. The session runs the exchange, or has the engine run it; nothing here knows which one. What is
found may be gone or changed at the next login, so nothing that is decided from it is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from greenpool.auth.hba.match import Request
from greenpool.worker import access
from greenpool.worker.access import Account
from greenpool.worker.lookup import Answer, Lookup

if TYPE_CHECKING:
    from greenpool.worker.pools import PoolEntry
    from greenpool.worker.state import Worker

_NONE: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody at the door. `entry` is the pool of a configured user, `lookup` who was asked."""

    request: Request
    account: Account | None
    entry: PoolEntry | None = None
    lookup: Lookup | None = None
    answer: Answer | None = None

    @property
    def parameters(self) -> Mapping[str, str]:
        """The settings that the client begins with, unless it says otherwise."""
        return _NONE if self.answer is None else self.answer.parameters

    def refused(self) -> None:
        """Note that the client has failed to prove it."""
        if self.lookup is not None and self.answer is not None:
            self.lookup.conclude(self.answer, is_in=False)

    @property
    def is_found(self) -> bool:
        """Whether it says the name of a user whom auth_query has found."""
        return self.answer is not None and self.answer.is_user

    @property
    def home(self) -> PoolEntry | None:
        """The pool of a configured user in the database that is asked for."""
        entry = self.entry
        return entry if entry is not None and entry.pool.name == self.request.database else None

    @property
    def has_pool(self) -> bool:
        """Whether there is a pool for it, or can be."""
        return self.is_found or self.home is not None

    def proved(self, worker: Worker) -> PoolEntry:
        """Return the pool of a found user who has proved who it is.

        `left` must follow. Switches: maybe. Raises: ClientError if there is none.
        """
        assert self.lookup is not None
        assert self.answer is not None
        self.lookup.conclude(self.answer, is_in=True)
        return worker.found.enter(self.request.database, self.request.user)

    def left(self, worker: Worker, entry: PoolEntry) -> None:
        """Say that the client is served in its pool now, or has gone before."""
        worker.found.leave(entry.key)


def find(worker: Worker, request: Request) -> Candidate:
    """Find out whom a client says it is. Switches: maybe. Raises: ClientError if it cannot be."""
    pools, database, user = worker.pools, request.database, request.user
    entry = pools.find(database, user)
    lookup = worker.lookups.of(database) if entry is None else None
    if lookup is not None:
        answer = lookup.find(user)
        account = access.found_account(answer) if answer.is_user else None
        return Candidate(request, account, lookup=lookup, answer=answer)
    if entry is None and not pools.has_database(database):
        entry = pools.of_user(user)  # who is known elsewhere is told of the database only
    account = None if entry is None else access.account_of(worker, entry)
    return Candidate(request, account, entry)
