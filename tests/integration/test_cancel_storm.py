"""200 clients, half of whom cancel at random: nobody's query is ever cancelled by another.

Every query says in its row whose it is. A bystander, who never cancels, never sees an error; a
canceller sees 57014 only where a cancel request of its own was on its way, as on a direct
connection: once its connection is closed, a cancel can hit nothing that is asked later. Some
clients vanish within a query, which greenpool then cancels in its own name.

GREENPOOL_STORM_S says how long a storm lasts (10 s); it lasts longer until there was enough of
everything.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness import messages
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.speaker import Speaker
from tests.integration.harness.wire import Message

STORM_S = float(os.environ.get("GREENPOOL_STORM_S", "10"))
OUTCOMES = ("answered", "cancelled", "too late", "vanished")
ENOUGH = 10  # of each
CLIENTS = 200
SERVERS = 8
LONGEST_S = 0.02  # of a query, by itself
THINK_S = 0.5  # at most, between two queries: some 600 a second, three quarters of the servers
QUERY_CANCELED = "57014"


class Client:
    """One connection at a time; `tally` counts what became of the queries of all."""

    def __init__(self, pooler: Pooler, number: int, tally: Counter[str]) -> None:
        self.is_canceller = number % 2 == 0
        self._pooler = pooler
        self._owner = f"client {number}"
        self._rng = random.Random(number)
        self._tally = tally
        self._asked = 0
        self._cancels: list[asyncio.Task[None]] = []

    async def connect(self) -> None:
        self._speaker = await Speaker.connect(self._pooler.dsn())

    async def run(self, is_over: Callable[[], bool]) -> None:
        """Ask until it is over. Raises: AssertionError for an answer that is not its own."""
        try:
            while not is_over():
                await asyncio.sleep(self._rng.random() * THINK_S)
                if self.is_canceller and self._rng.random() < 0.02:
                    await self._vanish()
                elif self._rng.random() < 0.3:
                    await self._transact()
                else:
                    await self._ask(b"I")
            await asyncio.gather(*self._cancels)
        finally:
            self._speaker.abort()

    async def _vanish(self) -> None:
        """Leave in the middle of a query that would never end, and come again."""
        self._speaker.send(messages.query("select pg_sleep(600)"))
        await asyncio.sleep(self._rng.random() * LONGEST_S)
        self._speaker.abort()
        self._tally["vanished"] += 1
        await asyncio.gather(*self._cancels)
        await self.connect()

    async def _transact(self) -> None:
        """Ask within a transaction. A late cancel can hit BEGIN and ROLLBACK too."""
        if await self._say("begin") != b"T":
            return
        await self._ask(b"T")
        await self._ask(b"T")
        while await self._say("rollback") != b"I":
            assert self.is_canceller

    async def _say(self, sql: str) -> bytes:
        """Run a command and return the status afterwards."""
        mine = self._outstanding()
        return self._judge(await self._speaker.ask(messages.query(sql)), mine, None)

    async def _ask(self, status: bytes) -> None:
        """Ask who it is, and cancel that or not."""
        self._asked += 1
        row = f"{self._owner}, query {self._asked}"
        sql = f"select '{row}' from pg_sleep({self._rng.random() * LONGEST_S:.4f})"
        mine = self._outstanding()
        extended = self._rng.random() < 0.5
        self._speaker.send(messages.extended(sql) if extended else messages.query(sql))
        if self.is_canceller and self._rng.random() < 0.5:
            delay_s = self._rng.random() * LONGEST_S
            self._cancels.append(asyncio.create_task(self._cancel(delay_s)))
            mine = True
        ready = self._judge(await self._speaker.read_until(b"Z"), mine, row)
        assert ready in (status, b"E" if status == b"T" else b"I"), (row, status, ready)

    def _outstanding(self) -> bool:
        """Whether a cancel request of its own may still hit what is asked now."""
        return not all(each.done() for each in self._cancels)

    def _judge(self, answer: list[Message], may_fail: bool, row: str | None) -> bytes:
        """Check an answer and return the status of its ReadyForQuery."""
        codes = [each.fields["C"] for each in answer if each.kind == b"E"]
        rows = [each.values for each in answer if each.kind == b"D"]
        if codes and codes[0] == "25P02":  # the query before it in the transaction was cancelled
            assert self.is_canceller, (row, codes)
        elif codes:
            self._tally["cancelled"] += 1
            assert codes == [QUERY_CANCELED], (self._owner, row, codes)
            assert may_fail, f"{row or self._owner}: cancelled, and not by itself"
        elif row is not None:
            self._tally["too late" if may_fail else "answered"] += 1
            assert rows == [[row.encode()]], (row, rows)
        return answer[-1].body

    async def _cancel(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        await self._speaker.cancel()


async def _storm(pooler: Pooler) -> Counter[str]:
    tally: Counter[str] = Counter()
    clients = [Client(pooler, number, tally) for number in range(CLIENTS)]
    await asyncio.gather(*(client.connect() for client in clients))
    end = time.monotonic() + STORM_S

    def is_over() -> bool:
        return time.monotonic() >= end and all(tally[each] > ENOUGH for each in OUTCOMES)

    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(client.run(is_over))
    return tally


@pytest.mark.slow
@pytest.mark.timeout(60 + 3 * STORM_S)
def test_no_query_is_cancelled_but_by_its_owner(
    make_pooler: MakePooler, pg: PostgreSQL, workers: int
) -> None:
    pool = {"users": [user(pool_size=SERVERS)]}
    pooler = make_pooler(workers, pools={"app": pool}, query_wait_timeout="30s", **QUIET)
    tally = asyncio.run(_storm(pooler))
    print(dict(tally))
    assert len(pg.backends("app")) <= SERVERS
    wait_for_balance(pooler, clients=0)
