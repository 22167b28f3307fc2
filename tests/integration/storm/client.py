"""A client of a storm: it takes turn after turn, until it is told to end or one of them fails."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

Turns = AsyncGenerator[None, None]

TURNS_A_S = 50
"""Of all clients of this process together: one that has no time of its own to read what it is sent
would measure itself."""
DIRECT = "direct "
"""How the kind of a client begins that has PostgreSQL itself at the other end: it tells what of a
pause is the machine's."""


@dataclass(slots=True, eq=False)
class Client:
    """Tell what has become of a client so far, wherever it runs. `port` is its own end's.

    `slowest_s` is the longest of its turns, which ended at `slowest_at`; it failed at `failed_at`
    (time.monotonic). `process`: the pid of whom it shares its time with.
    """

    kind: str
    port: int
    process: int
    turns: int = 0
    slowest_s: float = 0.0
    slowest_at: float = 0.0
    failure: str = ""
    failed_at: float = 0.0

    @property
    def is_direct(self) -> bool:
        return self.kind.startswith(DIRECT)

    def has_come_to(self, turns: int) -> bool:
        """Say whether it has taken that many turns, or will take no more of them."""
        return bool(self.failure) or self.turns >= turns

    def take(self, turns: int, slowest_s: float) -> None:
        """Note how many turns it has taken by now, and how long one of the last took."""
        self.turns = turns
        if slowest_s > self.slowest_s:
            self.slowest_s, self.slowest_at = slowest_s, time.monotonic()

    def fail(self, why: str) -> None:
        if not self.failure:
            self.failure, self.failed_at = why, time.monotonic()


def failed(clients: Iterable[Client]) -> list[Client]:
    return [each for each in clients if each.failure]


class Crew(Protocol):
    """Clients that belong together."""

    @property
    def clients(self) -> list[Client]:
        """List them; who has failed is among them until he is replaced."""

    async def replace(self) -> None:
        """Have a new client of the same kind for each that has failed."""

    async def end(self) -> None:
        """Let each finish its turn, and disconnect."""

    def abort(self) -> None:
        """Cut every connection at once."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a client of this process does, on a connection of its own."""

    kind: str
    port: int
    turns: Turns
    close: Callable[[], Awaitable[None]]
    abort: Callable[[], None]


Recipe = Callable[[], Awaitable[Part]]
"""Connects anew each time that it is called."""


@dataclass(frozen=True, slots=True)
class _Member:
    recipe: Recipe
    part: Part
    client: Client
    task: asyncio.Task[None]


class Players:
    """A crew within this process: a client for each recipe."""

    def __init__(self) -> None:
        self._members: list[_Member] = []
        self._is_ending = False

    @property
    def clients(self) -> list[Client]:
        return [each.client for each in self._members]

    async def play(self, recipes: Iterable[Recipe], are_direct: bool = False) -> None:
        """Have one more client for each; `are_direct`: of PostgreSQL itself."""
        for recipe in recipes:
            part = await recipe()
            client = Client(DIRECT * are_direct + part.kind, part.port, os.getpid())
            task = asyncio.create_task(self._run(client, part))
            self._members.append(_Member(recipe, part, client, task))

    async def replace(self) -> None:
        lost = [each for each in self._members if each.client.failure]
        self._members = [each for each in self._members if not each.client.failure]
        await asyncio.gather(*(each.task for each in lost))
        await self.play(each.recipe for each in lost)

    async def end(self) -> None:
        self._is_ending = True
        await asyncio.gather(*(each.task for each in self._members))

    def abort(self) -> None:
        for each in self._members:
            each.part.abort()

    async def _run(self, client: Client, part: Part) -> None:
        try:
            async with aclosing(part.turns):
                while not self._is_ending:
                    began = time.monotonic()
                    await anext(part.turns)
                    client.take(client.turns + 1, time.monotonic() - began)
                    await asyncio.sleep(len(self._members) / TURNS_A_S)
        except Exception as exc:  # whatever it is: the storm judges it
            client.fail(repr(exc))
        finally:
            await part.close()


class Crews:
    """Several crews as one."""

    def __init__(self, crews: Sequence[Crew]) -> None:
        self._crews = crews

    @property
    def clients(self) -> list[Client]:
        return list(chain.from_iterable(each.clients for each in self._crews))

    async def replace(self) -> None:
        await asyncio.gather(*(each.replace() for each in self._crews))

    async def end(self) -> None:
        await asyncio.gather(*(each.end() for each in self._crews))

    def abort(self) -> None:
        for each in self._crews:
            each.abort()
