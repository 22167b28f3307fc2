"""What the console asks all workers, because it lies in the memory of each alone.

    Console ──Asked──► master ──Ask──► every worker ──Told──► master ──Heard──► Console

Partners: `worker/questions.py`, which asks and answers; `master/questions.py`, which passes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Protocol

from greenpool.admin.result import Value

Told = Sequence[Value]
"""One thing that a worker tells; what it means the topic says."""


class Topic(Enum):
    """What can be asked."""

    STATEMENTS = auto()
    """Statements that servers of a pool hold: pool, user, identity as text, name, query, times
    prepared by this worker's clients, servers that hold it."""
    TEXTS = auto()
    """The largest texts of statements that are kept, MAX_TEXTS of each worker at most: worker,
    identity as text, bytes, clients that name it, times prepared, the query's beginning."""
    PARAMETERS = auto()
    """Settings that auth_query has found for users: database, user, name, value."""
    DESCRIPTORS = auto()
    """Open sockets: worker, descriptor, task, user, database, address, port, descriptor of the
    other side of the link."""


MAX_TEXTS = 200
"""Texts that SHOW INTERNER n tells at most; PgDoorman's bound."""


class Poll(Protocol):
    """A question under way."""

    def is_done(self) -> bool:
        """Whether all workers have told all they have to tell.

        Raises: ClientError when it has taken too long: half an answer would be a wrong one.
        """

    @property
    def told(self) -> Sequence[Told]:
        """What they have told so far."""
