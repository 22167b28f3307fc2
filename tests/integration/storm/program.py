"""A crew in a program of its own, in whatever language.

The program gets the connection string in GREENPOOL_DSN, to which it adds `sslmode`, and in
GREENPOOL_OF_A_KIND how many clients of a kind it has with TLS, and how many without. In
GREENPOOL_DIRECT_DSN it finds PostgreSQL itself, of which it has a client of each kind but the one
that records; `direct ` goes before their kinds' names. GREENPOOL_REST_MS is how long each rests
between two turns. A few times a second it writes a line for each of its clients, with tabs between

    a number that no other client has, its kind, its own port, its turns, the slowest since the
    line before in milliseconds, and why it has failed, if it has.

It reads `replace`: then a new client of its kind takes the place of each that has failed, who is
not spoken of any more. When its input ends, it has every client finish its turn and disconnect,
writes the lines once more, and ends with 0.
"""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.integration.storm.client import Client

_DEADLINE_S = 60.0


class ProgramCrew:
    """A crew that tells by lines what becomes of it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._found: dict[int, Client] = {}
        self._replaced: set[int] = set()
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(
        cls, words: Sequence[str], directory: Path, variables: Mapping[str, str], clients: int
    ) -> ProgramCrew:
        """Return when that many clients have taken their first turn."""
        environment = {**os.environ, **variables}
        process = await asyncio.create_subprocess_exec(
            *words, cwd=directory, env=environment, stdin=PIPE, stdout=PIPE
        )
        crew = cls(process)
        await crew._until_there_are(clients)
        return crew

    @property
    def clients(self) -> list[Client]:
        return list(self._found.values())

    async def replace(self) -> None:
        wanted = len(self._found)
        # What was written before the order was read may speak of them once more.
        self._replaced |= {number for number, each in self._found.items() if each.failure}
        self._found = {n: each for n, each in self._found.items() if n not in self._replaced}
        await self._tell(b"replace\n")
        await self._until_there_are(wanted)

    async def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(_DEADLINE_S):
            await self._listening
            assert await self._process.wait() == 0

    def abort(self) -> None:
        self._process.kill()

    async def _tell(self, order: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(order)
        await self._process.stdin.drain()

    async def _until_there_are(self, clients: int) -> None:
        async with asyncio.timeout(_DEADLINE_S):
            while len([each for each in self.clients if each.turns]) < clients:
                assert not self._listening.done(), "the program has ended"
                await asyncio.sleep(0.05)

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        pid = self._process.pid
        async for line in self._process.stdout:
            number, kind, port, *state = line.decode().rstrip("\n").split("\t")
            if int(number) not in self._replaced:
                client = self._found.setdefault(int(number), Client(kind, int(port), pid))
                turns, slowest_ms, failure = state
                client.take(int(turns), int(slowest_ms) / 1000)
                if failure:
                    client.fail(failure)
