"""pgbench through the pool: every transaction of every client is processed, and none wrongly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.postgres import PostgreSQL

POOL_SIZE = 10
MODES = ["simple", "extended", "prepared"]

# Each command of a pipeline is its own transaction, but for what stands between BEGIN and END.
_PIPELINED_TRANSACTION = r"""
\set aid random(1, 100000 * :scale)
\set bid random(1, 1 * :scale)
\set tid random(1, 10 * :scale)
\set delta random(-5000, 5000)
\startpipeline
begin;
update pgbench_accounts set abalance = abalance + :delta where aid = :aid;
select abalance from pgbench_accounts where aid = :aid;
update pgbench_tellers set tbalance = tbalance + :delta where tid = :tid;
update pgbench_branches set bbalance = bbalance + :delta where bid = :bid;
insert into pgbench_history (tid, bid, aid, delta, mtime)
    values (:tid, :bid, :aid, :delta, current_timestamp);
end;
\endpipeline
"""
# More texts than a server may hold; a wrong answer divides by zero.
_CHECKED_ANSWERS = r"""
\set n random(1, 1000000)
select :n::int + 1 as one, :n::int + 2 as two \gset
select :n::int + 3 as three \gset
\set wrong :one - :n - 1 + :two - :n - 2 + :three - :n - 3
\if :wrong
select 1 / 0;
\endif
\startpipeline
select :n::int + 4;
select :n::int + 5, :one::int;
select :n::int + 6, :one::int, :two::int;
\endpipeline
"""


def _processed(summary: str) -> tuple[int, int]:
    """Read how many transactions were processed, and of how many."""
    match = re.search(r"actually processed: (\d+)/(\d+)", summary)
    assert match is not None, summary
    assert "number of failed transactions: 0 " in summary, summary
    return int(match[1]), int(match[2])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("clients", "transactions"), [(1, 500), (20, 100), (500, 6)])
def test_pgbench_selects(pooler: Pooler, mode: str, clients: int, transactions: int) -> None:
    summary = pooler.pgbench(
        "-S", "-n", "-M", mode, "-c", str(clients), "-t", str(transactions), "-j", "2"
    )
    assert _processed(summary) == (clients * transactions, clients * transactions)
    assert len(pooler.pg.backends(user="app")) <= POOL_SIZE


@pytest.mark.parametrize("mode", MODES)
def test_pgbench_connects_for_every_transaction(pooler: Pooler, mode: str) -> None:
    summary = pooler.pgbench("-S", "-n", "-C", "-M", mode, "-c", "5", "-t", "20")
    assert _processed(summary) == (100, 100)
    assert len(pooler.pg.backends(user="app")) <= POOL_SIZE


@pytest.mark.parametrize("mode", MODES)
def test_pgbench_transactions_keep_the_books_balanced(
    pg: PostgreSQL, pooler: Pooler, mode: str
) -> None:
    """The default script is one transaction of seven statements; a mixed-up one shows in sums.

    A thread a client: pgbench waits within PQprepare, and a thread that does so for one of its
    clients would keep the others from ending their transactions.
    """
    before = _books(pg)
    summary = pooler.pgbench("-n", "-M", mode, "-c", "20", "-t", "25", "-j", "20")
    assert _processed(summary) == (500, 500)
    accounts, tellers, branches, history, rows = (
        now - then for now, then in zip(_books(pg), before, strict=True)
    )
    assert accounts == tellers == branches == history
    assert rows == 500


@pytest.mark.parametrize("mode", ["extended", "prepared"])
def test_pgbench_pipelines_keep_the_books_balanced(
    make_pooler: MakePooler, pg: PostgreSQL, tmp_path: Path, mode: str
) -> None:
    before = _books(pg)
    summary = _run_script(make_pooler, tmp_path, _PIPELINED_TRANSACTION, mode)
    assert _processed(summary) == (500, 500)
    accounts, tellers, branches, history, rows = (
        now - then for now, then in zip(_books(pg), before, strict=True)
    )
    assert accounts == tellers == branches == history
    assert rows == 500


@pytest.mark.parametrize("mode", ["extended", "prepared"])
def test_pgbench_script_gets_its_own_answers(
    make_pooler: MakePooler, tmp_path: Path, mode: str
) -> None:
    summary = _run_script(make_pooler, tmp_path, _CHECKED_ANSWERS, mode)
    assert _processed(summary) == (500, 500)


def _run_script(make_pooler: MakePooler, directory: Path, script: str, mode: str) -> str:
    """Run it 25 times in each of 20 clients, over 3 servers that hold 4 statements each."""
    path = directory / "script.sql"
    path.write_text(script)
    pool = {"users": [user(pool_size=3)]}
    pooler = make_pooler(2, pools={"bench": pool}, server_prepared_statements_cache_size=4)
    arguments = ("-M", mode, "-f", str(path), "-c", "20", "-t", "25", "-j", "2")
    return pooler.pgbench("-n", *arguments)


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
