"""The storm: upgrades and reloads, which disturb nobody, and workers that are killed.

A worker that is killed takes its own clients along and no other. Nobody's records are lost or come
twice; nobody waits for an answer longer than a second because of greenpool; the servers of before
are those of after, and have prepared what they had prepared; and when all is over nothing is left
of earlier generations.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping

from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.programs import Done
from tests.integration.harness.waiting import wait_for
from tests.integration.storm.client import Client, Crew, failed
from tests.integration.storm.journal import Journal

TIMES = int(os.environ.get("GREENPOOL_UPGRADE_STORM", "2"))
"""How often each of the three happens."""
IS_LONG = TIMES > 2
PATIENCE_S = 300.0 if IS_LONG else 60.0
DEADLINE_S = 180 * TIMES
PAUSE_S = 1.0
"""How long a turn may take; what it takes without greenpool tells how much that is here."""

LEDGER = """
create table ledger (id bigint generated always as identity, client int, turn int);
grant insert on ledger to app
"""
"""Where clients record their turns, each below its port."""

SETTINGS: dict[str, object] = {
    "log_level": "debug",
    "query_wait_timeout": f"{PATIENCE_S:g}s",
    "tcp_user_timeout": 0,
    "server_lifetime": 0,
    "idle_timeout": 0,
}
"""On a busy machine clients wait long for a server, and read nothing for a minute, when there are
two hundred in one process. The storm is not about what ends that, nor about servers that are
replaced because they are old."""

ALONE = "alone"
"""A pool of the same database that has one server, and one client."""

Pools = Mapping[str, Mapping[str, object]]


def pools(database: str, servers: int) -> Pools:
    return {
        database: {"users": [user(pool_size=servers)]},
        ALONE: {"server_database": database, "users": [user(pool_size=1)]},
    }


async def run(
    pooler: Pooler, database: str, servers: int, connect: Callable[[], Awaitable[Crew]]
) -> None:
    """Send the storm over a crew; `servers` is the size of the pool of `database`."""
    pooler.pg.sql(LEDGER, database=database)
    crew = await connect()
    try:
        await _Storm(pooler, database, servers, crew).rage()
    except BaseException:
        crew.abort()  # what waits for an answer that will not come must not keep the test
        raise


class _Storm:
    """Own the order of events over one crew."""

    def __init__(self, pooler: Pooler, database: str, servers: int, crew: Crew) -> None:
        self._pooler = pooler
        self._database = database
        self._servers = servers
        self._crew = crew
        self._journal = Journal(pooler)
        self._lost: list[Client] = []

    async def rage(self) -> None:
        with self._journal.step("the beginning"):
            await self._let_settle()
        for turn in range(1, TIMES + 1):
            if turn > TIMES // 2:  # so that there are transactions that outlive many generations,
                await self._kill(f"kill {turn}a")  # and newcomers for the others
                await self._kill(f"kill {turn}b")
            before = await self._servers_in_use()
            with self._journal.step(f"upgrade {turn}"):
                _succeeded(await asyncio.to_thread(self._pooler.upgrade))
                await self._all_go_on(self._crew.clients)
            with self._journal.step(f"reload {turn}"):
                changed = pools(self._database, self._servers + turn)
                _succeeded(await asyncio.to_thread(self._pooler.reload, pools=changed))
                await self._all_go_on(self._crew.clients)
            lost = before - await self._backends()
            assert not lost, f"turn {turn}: backends {lost} are gone"
            print(f"turn {turn}, {self._summary()}")
        await self._crew.end()
        self._none_has_failed(self._crew.clients)
        self._check_pauses(self._crew.clients)
        await asyncio.to_thread(self._check_ledger)

    def _pooled(self) -> list[Client]:
        return [each for each in self._crew.clients if not each.is_direct]

    async def _servers_in_use(self) -> set[int]:
        """Return the backends that greenpool has, as it says."""
        rows = await asyncio.to_thread(self._pooler.admin, "show servers")
        return {row["remote_pid"] for row in rows if row["state"] in ("active", "idle")}

    async def _backends(self) -> set[int]:
        """Return all of the database, as PostgreSQL says."""
        found = await asyncio.to_thread(self._pooler.pg.backends, "app", self._database)
        return {each.pid for each in found}

    async def _let_settle(self) -> None:
        """Wait until newcomers are answered, too. It was their process that their logins kept."""
        await self._all_are_answered(self._crew.clients)
        for each in self._crew.clients:
            each.slowest_s = 0.0

    async def _all_go_on(self, clients: Iterable[Client]) -> None:
        """Wait until each is answered; fail when one has failed, or had to wait."""
        await self._all_are_answered(clients)
        self._check_pauses(clients)

    async def _all_are_answered(self, clients: Iterable[Client]) -> None:
        """Wait until each has been answered twice more; fail when one has failed."""
        wanted = {each: each.turns + 2 for each in clients}

        def behind() -> list[Client]:
            return [each for each, turns in wanted.items() if not each.has_come_to(turns)]

        try:
            await _until(lambda: not behind(), "everyone is answered")
        except AssertionError as exc:
            raise AssertionError(f"{exc}: {behind()}") from None
        self._none_has_failed(clients)

    def _none_has_failed(self, clients: Iterable[Client]) -> None:
        """Say who has: by now, for when they are aborted all will have."""
        if lost := failed(clients):
            raise AssertionError(self._journal.tell_failures(lost))

    def _check_pauses(self, clients: Iterable[Client]) -> None:
        """Say who had to wait, and whether those had to who have no greenpool before them."""
        pooled = [each for each in clients if not each.is_direct]
        slow = [each for each in pooled if each.slowest_s > _bound_s(self._ordinary_s(each))]
        assert not slow, f"{self._journal.tell_pauses(slow)}\n{self._summary()}"

    def _ordinary_s(self, client: Client) -> float:
        """Return how long a turn takes without greenpool, at worst, in the same process."""
        everybody = self._crew.clients
        direct = [each for each in everybody if each.is_direct and each.process == client.process]
        return max(each.slowest_s for each in direct)

    def _summary(self) -> str:
        """Say who was the slowest of each process, with greenpool and without."""
        slowest: dict[tuple[int, bool], Client] = {}
        for each in sorted(self._crew.clients, key=lambda each: each.slowest_s):
            slowest[each.process, each.is_direct] = each
        return "the slowest:\n" + self._journal.tell_pauses(slowest.values())

    async def _kill(self, name: str) -> None:
        """Kill a worker and whom it has, have others come in their place, see that all go on."""
        with self._journal.step(name):
            lost = await self._kill_a_worker()
            await self._all_go_on([each for each in self._crew.clients if each not in lost])
            await self._crew.replace()
            await self._let_settle()
            self._lost += lost

    async def _kill_a_worker(self) -> list[Client]:
        """Kill it; return the clients that it has taken along, when they know."""
        victim, pooler = self._pooler.worker_pids()[0], self._pooler
        os.kill(victim, signal.SIGKILL)
        await _until(
            lambda: (
                victim not in pooler.worker_pids() and len(pooler.worker_pids()) == pooler.workers
            ),
            "another worker is in its place",
        )
        rows = await asyncio.to_thread(pooler.admin, "show clients")
        ports = {row["port"] for row in rows if row["user"] == "app"}
        lost = [each for each in self._pooled() if each.port not in ports]
        await _until(lambda: len(failed(lost)) == len(lost), "who has lost his worker knows it")
        return lost

    def _check_ledger(self) -> None:
        """See that every turn of those who record theirs was recorded once, and in order.

        What was under way when a client was lost may have been recorded or not; and its port may
        have become that of a later one.
        """
        query = "select client, array_agg(turn order by id) from ledger group by client"
        found = dict(self._pooler.pg.sql(query, database=self._database))
        for may_have_more, some in (True, self._lost), (False, self._pooled()):
            for client in some:
                if client.kind.endswith("recording"):
                    recorded, found[client.port] = _first_of(found[client.port])
                    more = recorded[client.turns :]
                    assert recorded == list(range(len(recorded))), f"{client}: {recorded}"
                    assert len(recorded) >= client.turns, f"{client}: {recorded}"
                    assert len(more) <= may_have_more, f"{client}: {recorded}"
        assert not any(found.values()), found


def _bound_s(ordinary_s: float) -> float:
    """Return how long a turn may take; `ordinary_s`: without greenpool, on this busy machine."""
    is_quiet = ordinary_s < PAUSE_S / 2
    return PAUSE_S if IS_LONG and is_quiet else PAUSE_S + ordinary_s


def _succeeded(done: Done) -> None:
    assert done.returncode == 0, done.stderr


def _first_of(turns: list[int]) -> tuple[list[int], list[int]]:
    """Cut off what comes before the first turn of another client."""
    end = turns.index(0, 1) if 0 in turns[1:] else len(turns)
    return turns[:end], turns[end:]


async def _until(look: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait_for, look, what, PATIENCE_S)


def leaves_nothing_behind(pooler: Pooler) -> None:
    """Wait until the clients' goodbyes have ended all but the generation that serves."""
    wait_for(lambda: not pooler.elders(), "no other generation is left", PATIENCE_S)
    wait_for(lambda: not pooler.pumps(), "no session is left behind", PATIENCE_S)
    wait_for_balance(pooler, 0)
