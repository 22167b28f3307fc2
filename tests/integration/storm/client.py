"""A client of a storm: it takes turn after turn, until it is told to end or one of them fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

Turns = AsyncGenerator[None, None]


@dataclass(slots=True, eq=False)
class Client:
    """Tell what has become of a client so far, wherever it runs. `port` is its own end's."""

    kind: str
    port: int
    turns: int = 0
    slowest_s: float = 0.0
    failure: str = ""

    def has_come_to(self, turns: int) -> bool:
        """Say whether it has taken that many turns, or will take no more of them."""
        return bool(self.failure) or self.turns >= turns


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


@dataclass(frozen=True, slots=True)
class Part:
    """What a client of this process does, on a connection of its own."""

    kind: str
    port: int
    turns: Turns
    close: Callable[[], Awaitable[None]]


Recipe = Callable[[], Awaitable[Part]]
"""Connects anew each time that it is called."""


class Players:
    """A crew within this process: a client for each recipe."""

    def __init__(self) -> None:
        self._parts: list[tuple[Recipe, Client, asyncio.Task[None]]] = []
        self._is_ending = False

    @property
    def clients(self) -> list[Client]:
        return [client for _, client, _ in self._parts]

    async def play(self, recipes: Iterable[Recipe]) -> None:
        for recipe in recipes:
            part = await recipe()
            client = Client(part.kind, part.port)
            task = asyncio.create_task(self._run(client, part))
            self._parts.append((recipe, client, task))

    async def replace(self) -> None:
        lost = [part for part in self._parts if part[1].failure]
        self._parts = [part for part in self._parts if part not in lost]
        await asyncio.gather(*(task for _, _, task in lost))
        await self.play(recipe for recipe, _, _ in lost)

    async def end(self) -> None:
        self._is_ending = True
        await asyncio.gather(*(task for _, _, task in self._parts))

    async def _run(self, client: Client, part: Part) -> None:
        try:
            async with aclosing(part.turns):
                while not self._is_ending:
                    began = time.monotonic()
                    await anext(part.turns)
                    client.slowest_s = max(client.slowest_s, time.monotonic() - began)
                    client.turns += 1
                    await asyncio.sleep(0.01)
        except Exception as exc:  # whatever it is: the storm judges it
            client.failure = repr(exc)
        finally:
            await part.close()
