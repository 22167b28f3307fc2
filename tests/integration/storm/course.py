"""The storm: upgrades and reloads, which disturb nobody, then workers that are killed.

A worker that is killed takes its own clients along and no other. Nobody's records are lost or come
twice, and when all is over nothing is left of earlier generations.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.waiting import wait_for
from tests.integration.storm.client import Client, Crew, failed

TIMES = int(os.environ.get("GREENPOOL_UPGRADE_STORM", "2"))
"""How often each of the three happens."""
IS_LONG = TIMES > 2
PATIENCE_S = 300.0 if IS_LONG else 60.0
DEADLINE_S = 180 * TIMES

LEDGER = """
create table ledger (id bigint generated always as identity, client int, turn int);
grant insert on ledger to app
"""
"""Where clients record their turns, each below its port."""

SETTINGS: dict[str, object] = {
    **QUIET,
    "query_wait_timeout": f"{PATIENCE_S:g}s",
    "tcp_user_timeout": 0,
}
"""On a busy machine clients wait long for a server, and read nothing for a minute, when there are
two hundred in one process. The storm is not about what ends that."""

Pools = Mapping[str, Mapping[str, object]]


def pools(database: str, servers: int) -> Pools:
    return {database: {"users": [user(pool_size=servers)]}}


async def run(
    pooler: Pooler, database: str, servers: int, connect: Callable[[], Awaitable[Crew]]
) -> None:
    """Send the storm over a crew; `servers` is the size of the pool of `database`."""
    pooler.pg.sql(LEDGER, database=database)
    crew = await connect()
    try:
        await _send_over(pooler, database, servers, crew)
    except BaseException:
        crew.abort()  # what waits for an answer that will not come must not keep the test
        raise


async def _send_over(pooler: Pooler, database: str, servers: int, crew: Crew) -> None:
    await _all_go_on(crew.clients)
    for turn in range(TIMES):
        await _upgrade_and_reload(pooler, pools(database, servers + turn % 2))
        await _all_go_on(crew.clients)
    print(f"slowest of all clients: {max(each.slowest_s for each in crew.clients):.3f} s")
    lost: list[Client] = []
    for _ in range(TIMES):
        lost += await _kill_a_worker(pooler, database, crew)
        await crew.replace()
        await _all_go_on(crew.clients)
    await crew.end()
    _none_has_failed(crew.clients)
    await asyncio.to_thread(_check_ledger, pooler, database, lost, crew.clients)


async def _all_go_on(clients: Sequence[Client]) -> None:
    """Wait until each has been answered twice more; fail when one has failed."""
    wanted = {each: each.turns + 2 for each in clients}

    def behind() -> list[Client]:
        return [each for each, turns in wanted.items() if not each.has_come_to(turns)]

    try:
        await _until(lambda: not behind(), "everyone is answered")
    except AssertionError as exc:
        raise AssertionError(f"{exc}: {behind()}") from None
    _none_has_failed(clients)


def _none_has_failed(clients: Iterable[Client]) -> None:
    """Say who has: by now, for when they are aborted all will have failed."""
    if lost := failed(clients):
        raise AssertionError(f"{len(lost)} clients have failed: {lost}")


async def _upgrade_and_reload(pooler: Pooler, changed: Pools) -> None:
    done = await asyncio.to_thread(pooler.upgrade)
    assert done.returncode == 0, done.stderr
    done = await asyncio.to_thread(pooler.reload, pools=changed)
    assert done.returncode == 0, done.stderr


async def _kill_a_worker(pooler: Pooler, database: str, crew: Crew) -> list[Client]:
    """Kill it; return the clients that it has taken along. The others go on."""
    victim = pooler.worker_pids()[0]
    os.kill(victim, signal.SIGKILL)
    await _until(
        lambda: victim not in pooler.worker_pids() and len(pooler.worker_pids()) == pooler.workers,
        "another worker is in its place",
    )
    rows = await asyncio.to_thread(pooler.admin, "show clients")
    ports = {row["port"] for row in rows if row["database"] == database}
    lost = [each for each in crew.clients if each.port not in ports]
    await _until(lambda: len(failed(lost)) == len(lost), "who has lost his worker knows it")
    await _all_go_on([each for each in crew.clients if each.port in ports])
    return lost


def _check_ledger(
    pooler: Pooler, database: str, lost: Iterable[Client], clients: Iterable[Client]
) -> None:
    """See that every turn of those who record theirs was recorded once, and in order.

    What was under way when a client was lost may have been recorded or not; and its port may have
    become that of a later one.
    """
    query = "select client, array_agg(turn order by id) from ledger group by client"
    found = dict(pooler.pg.sql(query, database=database))
    for may_have_more, some in (True, lost), (False, clients):
        for client in some:
            if client.kind.endswith("recording"):
                recorded, found[client.port] = _first_of(found[client.port])
                more = recorded[client.turns :]
                assert recorded == list(range(len(recorded))), f"{client}: {recorded}"
                assert len(recorded) >= client.turns, f"{client}: {recorded}"
                assert len(more) <= may_have_more, f"{client}: {recorded}"
    assert not any(found.values()), found


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
