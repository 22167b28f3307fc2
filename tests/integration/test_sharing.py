"""Two workers, one pool: its size holds over both, both use all of it, and nobody is forgotten."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.crowd import Crowd
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.sampler import backends_sampled
from tests.integration.harness.waiting import wait_for

pytestmark = ANY_POSTGRESQL

POOL_SIZE = 4
CLIENTS = 64
TRANSACTIONS = 100_000  # with each version of PostgreSQL
WORKERS = range(2)


@pytest.fixture
def small(make_pooler: MakePooler) -> Pooler:
    pools = {name: {"users": [user(pool_size=POOL_SIZE)]} for name in ("app", "bench")}
    return make_pooler(2, pools=pools, query_wait_timeout="20s", **QUIET)


def test_pool_size_holds_over_all_workers(small: Pooler) -> None:
    with Crowd(small, "select pg_sleep(0.003)") as crowd:
        crowd.gather(CLIENTS, least=CLIENTS // 4)
        with backends_sampled(small.pg) as backends:
            crowd.start()
            seen: set[tuple[int, int]] = set()
            wait_for(lambda: _all_used_by_all(small, seen), f"{seen} covers all servers")
            crowd.wait_for_turns(10)
            crowd.stop()
        assert not crowd.complaints()
        wait_for_balance(small, len(crowd.members))
    assert backends.most == POOL_SIZE, f"{backends.most} backends in {backends.samples} samples"


def test_every_client_gets_its_turn(small: Pooler) -> None:
    """Nobody is passed over: counted in answers to others, whatever the machine is doing."""
    with Crowd(small, "select pg_sleep(0.003)") as crowd:
        crowd.gather(CLIENTS, least=CLIENTS // 4)
        crowd.start()
        crowd.wait_for_turns(2)
        warm = len(crowd.order)
        crowd.wait_for_turns(20)
        crowd.stop()
        assert not crowd.complaints()
        gaps = [_longest_gap(crowd.order[warm:], each.number) for each in crowd.members]
        print(f"{len(crowd.members)} clients, longest gaps {sorted(gaps)}")
        assert max(gaps) < 3 * len(crowd.members)


@pytest.mark.timing
def test_longest_wait_is_near_the_mean(small: Pooler) -> None:
    # A query of 5 ms, so that what is measured is the order of turns and not the noise of a core.
    with Crowd(small, "select pg_sleep(0.005)") as crowd:
        crowd.gather(CLIENTS, least=CLIENTS // 4)
        crowd.start()
        crowd.wait_for_turns(2)
        before = {each.number: len(each.answers_s) for each in crowd.members}
        crowd.wait_for_turns(15)
        crowd.stop()
        answers_s = [s for each in crowd.members for s in each.answers_s[before[each.number] :]]
    mean_s, longest_s = statistics.fmean(answers_s), max(answers_s)
    print(f"waits: mean {mean_s * 1e3:.1f} ms, longest {longest_s * 1e3:.1f} ms")
    assert longest_s < 3 * mean_s


@pytest.mark.slow
def test_no_wake_up_is_lost(small: Pooler) -> None:
    script = small.directory / "select.sql"
    script.write_text("select 1\n")
    each = TRANSACTIONS // CLIENTS
    summary = small.pgbench(
        *("-n", "-c", str(CLIENTS), "-j", "2", "-t", str(each), "-f", str(script)),
    )
    print(summary)
    assert f"{each * CLIENTS}/{each * CLIENTS}" in summary
    wait_for_balance(small, 0)


def _longest_gap(order: list[int], number: int) -> int:
    """Return the most answers to others between two for this client, or before or after all."""
    turns = [at for at, each in enumerate(order) if each == number]
    return max(b - a for a, b in pairwise([-1, *turns, len(order)]))


def _all_used_by_all(pooler: Pooler, seen: set[tuple[int, int]]) -> bool:
    """Note which worker uses which server just now; true once each has used each."""
    rows = pooler.admin("show servers")
    seen |= {(row["worker"], row["remote_pid"]) for row in rows if row["state"] == "active"}
    pids = {row["remote_pid"] for row in rows}
    return len(pids) == POOL_SIZE and all((w, pid) in seen for w in WORKERS for pid in pids)
