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
    """Somebody at the door. `entry` is the pool of a configured user, `lookup` who was asked.

    `is_guest`: its pool is made, or kept, once it has proved who it is. `is_fickle`: what is found
    out may be another thing for the next one, and so it is said of those who do not exist, too.
    """

    request: Request
    account: Account | None
    entry: PoolEntry | None = None
    lookup: Lookup | None = None
    answer: Answer | None = None
    is_guest: bool = False
    is_fickle: bool = False

    @property
    def parameters(self) -> Mapping[str, str]:
        """The settings that the client begins with, unless it says otherwise."""
        return _NONE if self.answer is None else self.answer.parameters

    def refused(self) -> None:
        """Note that the client has failed to prove it."""
        if self.lookup is not None and self.answer is not None:
            self.lookup.conclude(self.answer, is_in=False)

    @property
    def has_pool(self) -> bool:
        """Whether there is a pool for it, or can be."""
        return self.is_guest or self.entry is not None

    def proved(self, worker: Worker) -> PoolEntry:
        """Return the pool of a guest who has proved who it is.

        `left` must follow. Switches: maybe. Raises: ClientError if there is none.
        """
        if self.lookup is not None and self.answer is not None:
            self.lookup.conclude(self.answer, is_in=True)
        return worker.found.enter(self.request.database, self.request.user)

    def left(self, worker: Worker, entry: PoolEntry) -> None:
        """Say that the client is served in its pool now, or has gone before."""
        worker.found.leave(entry.key)


def find(worker: Worker, request: Request) -> Candidate:
    """Find out whom a client says it is. Switches: maybe. Raises: ClientError if it cannot be."""
    pools, database, user = worker.pools, request.database, request.user
    account: Account | None
    entry = pools.find(database, user)
    if entry is not None:
        return Candidate(request, access.account_of(worker, entry.verifier), entry)
    verifier = pools.of_template(database, user)
    if verifier is not None:
        account = access.account_of(worker, verifier)
        return Candidate(request, account, is_guest=True, is_fickle=True)
    if not pools.has_database(database):
        verifier = pools.of_user(user)  # who is known elsewhere is told of the database only
        account = None if verifier is None else access.account_of(worker, verifier)
        return Candidate(request, account)
    lookup = worker.lookups.of(database)
    if lookup is None:
        return Candidate(request, None, is_fickle=pools.is_of_template(database))
    answer = lookup.find(user)
    account = access.found_account(answer) if answer.is_user else None
    return Candidate(request, account, None, lookup, answer, answer.is_user, is_fickle=True)
