"""Every end of greenpool: what its clients see of it, and that it leaves nothing behind."""

from __future__ import annotations

import os
import signal

import psutil

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness import messages
from tests.integration.harness.crowd import Crowd
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

pytestmark = ANY_POSTGRESQL

STARTS = 5
SHUTDOWN = ("FATAL", "57P01")


def test_graceful_stop_in_the_middle_of_transactions(
    make_pooler: MakePooler, pg: PostgreSQL, database: str
) -> None:
    pg.sql("create table kept (n int)", database=database)
    pg.sql("grant all on kept to app", database=database)
    pooler = make_pooler(2, pools={database: {}})
    wires = [_login(pooler, database) for _ in range(4)]
    for n, wire in enumerate(wires):
        wire.query("begin")
        wire.query(f"insert into kept values ({n})")
    os.kill(pooler.master_pid, signal.SIGTERM)
    wait_for(lambda: not _accepts(pooler), "nobody new is accepted")
    for wire in wires:
        assert wire.rows("select 1") == [[b"1"]]
        wire.send(messages.query("commit"))
        *_, ready, error = wire.read_to_end()
        assert ready.body == b"I"
        assert (error.fields["S"], error.fields["C"]) == SHUTDOWN
        wire.sock.close()
    wait_for(lambda: not pooler.is_running, "greenpool ends")
    assert pg.sql("select count(*) from kept", database=database) == [(4,)]


# Who waited for a server that died meanwhile got no other, and held the stop until its time was up.
def test_waiter_of_a_dead_server_is_served_before_the_end(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    pooler = make_pooler(
        2, pools={"app": {"users": [user(pool_size=1)]}}, shutdown_timeout="1h", **QUIET
    )
    with _login(pooler, "app") as holder, _login(pooler, "app") as waiter:
        holder.query("begin")
        holder.query("select 1")
        waiter.send(messages.query("select 41 + 1"))
        wait_for(lambda: pooler.admin("show pools")[0]["cl_waiting"] == 1, "it waits")
        os.kill(pooler.master_pid, signal.SIGTERM)
        wait_for(lambda: not _accepts(pooler), "nobody new is accepted")
        pg.terminate("app")
        said = waiter.read_to_end()
        assert [row.values for row in said if row.kind == b"D"] == [[b"42"]]
        assert (said[-1].fields["S"], said[-1].fields["C"]) == SHUTDOWN
    wait_for(lambda: not pooler.is_running, "greenpool ends")


def test_stop_under_load_breaks_no_transaction(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = make_pooler(2, **QUIET)
    with Crowd(pooler, "select pg_sleep(0.002)") as crowd:
        crowd.gather(24, least=4)
        crowd.start()
        crowd.wait_for_turns(3)
        assert pooler.stop() == 0
        wait_for(lambda: all(each.is_gone for each in crowd.members), "all are disconnected")
        crowd.stop()
        errors = [[(error["S"], error["C"]) for error in each.errors] for each in crowd.members]
    # Who asks while it is told to go finds its connection closed; nobody hears anything else.
    assert all(error in ([SHUTDOWN], []) for error in errors), errors
    assert any(errors), errors
    assert not pg.backends("app")


def test_transaction_that_outlasts_the_shutdown_timeout(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    pooler = make_pooler(2, shutdown_timeout="300ms")
    with _login(pooler, "app") as idle, _login(pooler, "app") as working:
        for wire in (idle, working):
            wire.query("begin")
            wire.query("select 1")
        working.send(messages.query("select pg_sleep(100)"))
        assert pooler.stop() == 0
        for wire in (idle, working):
            error = wire.read_to_end()[-1]
            assert (error.fields["S"], error.fields["C"]) == SHUTDOWN
    wait_for(lambda: not pg.backends("app"), "pg_sleep was cancelled")


def test_stop_while_a_refused_client_lingers(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2)
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.send(messages.startup({"database": "app"}))
        assert wire.read().kind == b"E"
        assert pooler.stop() == 0
    assert "Traceback" not in pooler.log()


def test_quit_leaves_no_backend(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = make_pooler(2)
    with _login(pooler, "app") as idle, _login(pooler, "app") as working:
        idle.query("begin")
        idle.query("select 1")
        working.send(messages.query("select pg_sleep(100)"))
        wait_for(lambda: [b for b in pg.backends("app") if b.state == "active"], "it sleeps")
        assert pooler.stop(signal.SIGQUIT) == 0
        wait_for(lambda: not pg.backends("app"), "pg_sleep was cancelled")


def test_starts_and_stops_leave_nothing(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = make_pooler(2)
    for _ in range(STARTS):
        processes = [psutil.Process(pid) for pid in (pooler.master_pid, *pooler.worker_pids())]
        assert pooler.psql("select 1").stdout == "1\n"
        assert pooler.stop() == 0
        assert not [each for each in processes if each.is_running()]
        assert not pg.backends("app")
        left = {path.name for path in pooler.directory.iterdir()}
        assert left == {pooler.config_path.name, pooler.log_path.name}
        pooler.start()


def _login(pooler: Pooler, database: str) -> Wire:
    wire = Wire.connect(pooler.host, pooler.port)
    wire.login(database=database)
    return wire


def _accepts(pooler: Pooler) -> bool:
    try:
        Wire.connect(pooler.host, pooler.port).sock.close()
    except ConnectionRefusedError:
        return False
    return True
