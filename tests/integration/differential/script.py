"""What a conversation is: a name and a list of steps, for one client or several in turn.

    Script("two queries in flight", [say(query("select 1"), query("select 2")), ready(2)])

A script says nothing about the answers: those come from PostgreSQL itself. After its last step
every client that is still connected sends Sync and a query, so that a reply too many or too few
shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto


class Action(Enum):
    """Name what a step does."""

    SAY = auto()
    SAY_SLOWLY = auto()
    READY = auto()
    TAKE = auto()
    UNTIL = auto()
    END = auto()
    SHUT = auto()


@dataclass(frozen=True, slots=True)
class Step:
    """Hold one step of one client: what it sends, or up to where it reads."""

    action: Action
    client: int
    data: bytes = b""
    count: int = 0


@dataclass(frozen=True, slots=True)
class Script:
    """Hold a conversation.

    `servers` is how many servers it holds at once: more than a pool has would block it for ever.
    `texts_differ`: PostgreSQL and greenpool may word the last error differently; severity and
    SQLSTATE are compared all the same.
    """

    name: str
    steps: Sequence[Step]
    servers: int = 1
    texts_differ: bool = False

    @property
    def clients(self) -> int:
        return 1 + max(step.client for step in self.steps)


def say(*parts: bytes, client: int = 0) -> Step:
    """Send all of it in one piece."""
    return Step(Action.SAY, client, b"".join(parts))


def say_slowly(*parts: bytes, client: int = 0) -> Step:
    """Send it byte by byte, each in a packet of its own."""
    return Step(Action.SAY_SLOWLY, client, b"".join(parts))


def ready(count: int = 1, client: int = 0) -> Step:
    """Read up to and with the count-th ReadyForQuery."""
    return Step(Action.READY, client, count=count)


def take(count: int, client: int = 0) -> Step:
    """Read that many messages."""
    return Step(Action.TAKE, client, count=count)


def until(kind: bytes, client: int = 0) -> Step:
    """Read up to and with the first message of that type."""
    return Step(Action.UNTIL, client, kind)


def end(client: int = 0) -> Step:
    """Read until the other side closes."""
    return Step(Action.END, client)


def shut(client: int = 0) -> Step:
    """Close the sending direction only."""
    return Step(Action.SHUT, client)
