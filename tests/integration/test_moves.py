"""Clients that move from worker to worker all the time, with their servers, and notice nothing."""

from __future__ import annotations

import os
import signal
import threading
from functools import partial
from typing import Any

import psycopg
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness import messages
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.crowd import Crowd
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

pytestmark = ANY_POSTGRESQL

PAUSE_MS = "2"
ENOUGH = 20
"""Moves that happen while something is done, so that they hit it at many points."""


@pytest.fixture(params=["epoll", "io_uring"])
def restless(
    make_pooler: MakePooler, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Pooler:
    """Start a greenpool with two workers that give each other their clients, again and again."""
    monkeypatch.setenv("GREENPOOL_REHEARSAL_MS", PAUSE_MS)
    pools = {"app": {"users": [user(pool_size=6)]}}
    return make_pooler(2, pools=pools, io_backend=request.param, **QUIET)


def test_prepared_statements_are_still_prepared(restless: Pooler) -> None:
    with restless.connect(prepare_threshold=0) as connection:
        before, turn = _moves(restless), 0
        while _moves(restless) < before + ENOUGH:
            for _ in range(50):
                turn += 1
                row = connection.execute("select %s::int8 + 1", [turn]).fetchone()
                assert row == (turn + 1,)


def test_a_transaction_stays_in_its_backend(restless: Pooler) -> None:
    with restless.connect(autocommit=False) as connection:
        connection.execute("create temp table mine (n int) on commit drop")
        backend = _one(connection, "select pg_backend_pid()")
        before, rows = _moves(restless), 0
        while _moves(restless) < before + ENOUGH:
            for _ in range(20):
                connection.execute("insert into mine values (1)")
                rows += 1
        assert _one(connection, "select count(*) from mine") == rows
        assert _one(connection, "select pg_backend_pid()") == backend


def test_what_pins_a_client_goes_with_it(restless: Pooler) -> None:
    with restless.connect() as connection, restless.connect() as other:
        connection.execute("create temp table mine (n int)")
        connection.execute("listen news")
        connection.execute("select pg_advisory_lock(4712)")
        backend = _one(connection, "select pg_backend_pid()")
        before, rows = _moves(restless), 0
        while _moves(restless) < before + ENOUGH:
            connection.execute("insert into mine values (1)")
            other.execute("select pg_notify('news', %s)", [str(rows)])
            rows += 1
            news = next(connection.notifies(timeout=5, stop_after=1))
            assert news.payload == str(rows - 1)
        assert _one(connection, "select count(*) from mine") == rows
        assert _one(connection, "select pg_backend_pid()") == backend
        assert _one(other, "select pg_try_advisory_lock(4712)") is False


def test_session_settings_go_with_it(restless: Pooler) -> None:
    with restless.connect() as connection:
        connection.execute("set application_name to 'mover'")
        connection.execute("set app.tenant to 'seven'")
        before = _moves(restless)
        while _moves(restless) < before + ENOUGH:
            found = connection.execute(
                "select current_setting('application_name'), current_setting('app.tenant')"
            ).fetchone()
            assert found == ("mover", "seven")


def test_a_pipeline_is_answered_in_order(restless: Pooler) -> None:
    with restless.connect() as connection:
        before = _moves(restless)
        while _moves(restless) < before + ENOUGH:
            with connection.pipeline():
                cursors = [connection.execute("select %s::int", [n]) for n in range(200)]
            assert [each.fetchone() for each in cursors] == [(n,) for n in range(200)]


def test_no_row_of_a_copy_is_lost_or_said_twice(restless: Pooler) -> None:
    rows = 0
    with restless.connect(autocommit=False) as connection:
        connection.execute("create temp table t (n int, text text)")
        before, filler = _moves(restless), "x" * 100
        with connection.cursor().copy("copy t from stdin") as copy:
            while _moves(restless) == before or rows < 60_000:
                for n in range(rows, rows + 20_000):
                    copy.write_row((n, filler))
                rows += 20_000
        assert _one(connection, "select count(distinct n) from t") == rows
        with connection.cursor().copy("copy (select n, text from t order by n) to stdout") as copy:
            got = b"".join(bytes(each) for each in copy)
        assert got == b"".join(b"%d\t%s\n" % (n, filler.encode()) for n in range(rows))


def test_who_waits_keeps_its_place_and_is_served(restless: Pooler) -> None:
    with Crowd(restless, "begin; select pg_sleep(0.001); commit") as crowd:
        crowd.join(24)  # of six servers
        crowd.start()
        _wait_for_moves(restless, 10 * ENOUGH)
        crowd.wait_for_turns(5)
        crowd.stop()
        assert not crowd.complaints()
        wait_for_balance(restless, len(crowd.members))


def test_cancels_find_who_has_moved(restless: Pooler) -> None:
    with restless.connect() as connection:
        for _ in range(5):
            ended: list[Any] = []

            def sleep(ended: list[Any] = ended) -> None:
                try:
                    connection.execute("select pg_sleep(30)")
                except psycopg.errors.QueryCanceled as exc:
                    ended.append(exc)

            thread = threading.Thread(target=sleep)
            thread.start()
            _wait_for_moves(restless, 4)
            while not ended:
                connection.cancel_safe()
                thread.join(0.2)
            thread.join()
            assert connection.execute("select 1").fetchone() == (1,)


def test_half_a_message_is_completed_elsewhere(restless: Pooler) -> None:
    with Wire.connect(restless.host, restless.port) as wire:
        wire.login()
        question = messages.query("select length('" + "y" * 3000 + "')")
        for cut in (1, 3, 5, 6, 100, 2000, len(question) - 1):
            wire.send(question[:cut])
            _wait_for_moves(restless, 4)
            wire.send(question[cut:])
            found = wire.read_until(b"Z")
            assert any(b"3000" in each.body for each in found), cut


def test_a_long_statement_is_completed_elsewhere(restless: Pooler) -> None:
    """What is kept of it is more than one message between workers carries."""
    question = messages.extended("select length('" + "z" * 100_000 + "')")
    with Wire.connect(restless.host, restless.port) as wire:
        wire.login()
        wire.send(question[:90_000])
        _wait_for_moves(restless, 4)
        wire.send(question[90_000:])
        assert any(b"100000" in each.body for each in wire.read_until(b"Z"))


def test_a_worker_dies_while_clients_move(restless: Pooler) -> None:
    """Only those who were its clients at that moment are disconnected; nothing is left of them."""
    with Crowd(restless, "begin; select pg_sleep(0.001); commit") as crowd:
        crowd.join(24)
        crowd.start()
        for victim in range(4):
            crowd.wait_for_turns(3)
            pids = _pids(restless)
            os.kill(pids[victim % 2], signal.SIGKILL)
            wait_for(partial(_is_whole, restless, pids), "it has a successor")
            crowd.wait_for_losses()
            crowd.dismiss_gone()
            assert not crowd.complaints()
            crowd.gather(24, least=0)
        crowd.stop()
        assert not crowd.complaints()
        wait_for_balance(restless, len(crowd.members))


def _pids(pooler: Pooler) -> list[int]:
    rows = sorted(pooler.admin("show workers"), key=lambda row: row["worker"])
    return [row["pid"] for row in rows if row["state"] == "alive"]


def _is_whole(pooler: Pooler, before: list[int]) -> bool:
    """Whether both places have a process, and one of them another than before."""
    try:
        now = _pids(pooler)
    except psycopg.OperationalError:  # accepted by the one that was killed
        return False
    return len(now) == 2 and now != before


def _one(connection: psycopg.Connection[tuple[Any, ...]], sql: str) -> Any:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]


def _wait_for_moves(pooler: Pooler, count: int) -> None:
    enough = _moves(pooler) + count
    wait_for(lambda: _moves(pooler) >= enough, f"clients have moved {count} times")


def _moves(pooler: Pooler) -> int:
    rows = pooler.admin("show workers")
    return min(sum(row["moved_in"] for row in rows), sum(row["moved_out"] for row in rows))
