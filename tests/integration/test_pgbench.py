"""pgbench through the pool: every transaction of every client is processed, and none wrongly."""

from __future__ import annotations

import re

import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.postgres import PostgreSQL

POOL_SIZE = 10


def _processed(summary: str) -> tuple[int, int]:
    """Read how many transactions were processed, and of how many."""
    match = re.search(r"actually processed: (\d+)/(\d+)", summary)
    assert match is not None, summary
    assert "number of failed transactions: 0 " in summary, summary
    return int(match[1]), int(match[2])


@pytest.mark.parametrize("mode", ["simple", "extended"])
@pytest.mark.parametrize(("clients", "transactions"), [(1, 500), (20, 100), (500, 6)])
def test_pgbench_selects(pooler: Pooler, mode: str, clients: int, transactions: int) -> None:
    summary = pooler.pgbench(
        "-S", "-n", "-M", mode, "-c", str(clients), "-t", str(transactions), "-j", "2"
    )
    assert _processed(summary) == (clients * transactions, clients * transactions)
    assert len(pooler.pg.backends(user="app")) <= POOL_SIZE


@pytest.mark.parametrize("mode", ["simple", "extended"])
def test_pgbench_connects_for_every_transaction(pooler: Pooler, mode: str) -> None:
    summary = pooler.pgbench("-S", "-n", "-C", "-M", mode, "-c", "5", "-t", "20")
    assert _processed(summary) == (100, 100)
    assert len(pooler.pg.backends(user="app")) <= POOL_SIZE


@pytest.mark.parametrize("mode", ["simple", "extended"])
def test_pgbench_transactions_keep_the_books_balanced(
    pg: PostgreSQL, pooler: Pooler, mode: str
) -> None:
    """The default script is one transaction of seven statements; a mixed-up one shows in sums."""
    before = _books(pg)
    summary = pooler.pgbench("-n", "-M", mode, "-c", "20", "-t", "25", "-j", "2")
    assert _processed(summary) == (500, 500)
    accounts, tellers, branches, history, rows = (
        now - then for now, then in zip(_books(pg), before, strict=True)
    )
    assert accounts == tellers == branches == history
    assert rows == 500


def test_pgbench_prepares_statements_in_session_mode(make_pooler: MakePooler) -> None:
    pool = {"pool_mode": "session", "users": [user(pool_size=5)]}
    pooler = make_pooler(workers=2, pools={"bench": pool})
    summary = pooler.pgbench("-S", "-n", "-M", "prepared", "-c", "5", "-t", "100")
    assert _processed(summary) == (500, 500)


def _books(pg: PostgreSQL) -> list[int]:
    """Sum up the balances of accounts, tellers and branches, and the history's deltas and rows."""
    ((*sums,),) = pg.sql(
        """
        select (select sum(abalance) from pgbench_accounts),
               (select sum(tbalance) from pgbench_tellers),
               (select sum(bbalance) from pgbench_branches),
               (select coalesce(sum(delta), 0) from pgbench_history),
               (select count(*) from pgbench_history)
        """,
        database="bench",
    )
    return sums
