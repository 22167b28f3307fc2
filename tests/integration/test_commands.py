"""What the administrator says holds for all workers, and nobody is lost who need not be."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness import messages
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.crowd import Crowd
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.postgres import MAJORS, PostgreSQL
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Message, Wire

# One version of PostgreSQL: none of this depends on it.
pytestmark = pytest.mark.parametrize("_server", MAJORS[-1:], indirect=True)

Rows = list[dict[str, Any]]


# ---- PAUSE and RESUME -----------------------------------------------------------------------


def test_pause_waits_for_transactions_and_closes_servers(pooler: Pooler, pg: PostgreSQL) -> None:
    with _login(pooler) as holder, _login(pooler) as waiter, _login(pooler, "bench") as other:
        holder.query("begin")
        holder.query("select 1")
        with _said(pooler, "PAUSE app") as pause:
            wait_for(lambda: _pool(pooler)["paused"], "the pause is seen")
            waiter.send(messages.query("select 2"))
            assert waiter.is_silent()
            assert not pause.done()
            assert holder.rows("select 3") == [[b"3"]]
            holder.query("commit")
            assert pause.result() == []
        assert not pg.backends("app", "app")
        assert waiter.is_silent()
        assert other.rows("select 4") == [[b"4"]]
        pooler.admin("RESUME app")
        assert [each.values for each in waiter.read_until(b"Z") if each.kind == b"D"] == [[b"2"]]
        assert not _pool(pooler)["paused"]


@pytest.mark.parametrize("io_backend", ["epoll", "auto"])
def test_nobody_is_lost_in_a_pause_under_load(
    make_pooler: MakePooler, pg: PostgreSQL, io_backend: str
) -> None:
    """Whatever query_wait_timeout says: they wait for the administrator, not for a server."""
    pooler = make_pooler(2, query_wait_timeout="500ms", io_backend=io_backend, **QUIET)
    with Crowd(pooler, "select pg_sleep(0.002)") as crowd:
        crowd.gather(16, least=4)
        crowd.start()
        for _ in range(3):
            crowd.wait_for_turns(3)
            pooler.admin("PAUSE")
            assert not pg.backends("app")
            pooler.sleep(1.0)
            assert not pg.backends("app")
            pooler.admin("RESUME")
        crowd.wait_for_turns(3)
        crowd.stop()
        assert not crowd.complaints()
        wait_for_balance(pooler, len(crowd.members))


def test_a_pause_outlives_a_reload_a_worker_and_an_upgrade(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    pooler = make_pooler(2, query_wait_timeout="0")
    with _login(pooler) as wire:
        wire.rows("select 1")
    pooler.admin("PAUSE app")
    assert pooler.reload(query_wait_timeout="1h").returncode == 0
    before = pooler.worker_pids()
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: set(pooler.worker_pids()) > {before[1]}, "the worker has a successor")
    wait_for(lambda: len(_workers_alive(pooler)) == 2, "it is alive")
    assert _pool(pooler)["paused"]
    with _login(pooler) as wire:
        wire.send(messages.query("select 2"))
        assert wire.is_silent(0.5)
        assert pooler.upgrade().returncode == 0
        wait_for(lambda: not pooler.elders(), "the generation before has ended")
        assert _pool(pooler)["paused"]
        assert wire.is_silent(0.5)
        assert not pg.backends("app", "app")
        pooler.admin("RESUME")
        assert not _complaints(wire.read_until(b"Z"))
        assert pooler.admin(f"KILL_CLIENT {_number(wire)}") == []
        assert _complaints(wire.read_to_end()) == [("FATAL", "57P01")]


def test_a_pause_stays_when_its_admin_leaves(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = make_pooler(2)
    with _login(pooler) as holder:
        holder.query("begin")
        holder.query("select 1")
        with Wire.connect(pooler.host, pooler.port) as admin:
            admin.login("admin", "greenpool", "admin-secret")
            admin.send(messages.query("PAUSE app"))
            wait_for(lambda: _pool(pooler)["paused"], "the pause is seen")
        wait_for(
            lambda: "left: client closed the connection" in pooler.log(), "the console notices"
        )
        assert _pool(pooler)["paused"]
        holder.query("commit")
        wait_for(lambda: not pg.backends("app", "app"), "the servers are closed all the same")
        pooler.admin("RESUME app")
        assert holder.rows("select 2") == [[b"2"]]


def test_a_cancel_request_ends_the_wait_for_a_pause(pooler: Pooler) -> None:
    with _login(pooler) as holder, Wire.connect(pooler.host, pooler.port) as admin:
        holder.query("begin")
        holder.query("select 1")
        admin.login("admin", "greenpool", "admin-secret")
        admin.send(messages.query("PAUSE app"))
        wait_for(lambda: _pool(pooler)["paused"], "the pause is seen")
        with Wire.connect(pooler.host, pooler.port) as canceler:
            canceler.send(messages.cancel_request(admin.backend_key))
            canceler.read_to_end()
        assert _complaints(admin.read_until(b"Z")) == [("ERROR", "57014")]
        assert admin.query("RESUME app")[-1].body == b"I"
        assert holder.query("commit")[-1].body == b"I"


def test_resume_ends_a_pause_that_is_not_complete(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2)
    with _login(pooler) as holder:
        holder.query("begin")
        holder.query("select 1")
        with _said(pooler, "PAUSE app") as pause:
            wait_for(lambda: _pool(pooler)["paused"], "the pause is seen")
            pooler.admin("RESUME app")
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="RESUME"):
                pause.result()
        assert holder.query("commit")[-1].body == b"I"
        assert holder.rows("select 2") == [[b"2"]]


def test_one_user_can_be_paused(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    users = [user(), user("app_md5")]
    pooler = make_pooler(2, pools={"app": {"users": users}})
    with _login(pooler) as paused, _login(pooler, name="app_md5") as other:
        assert paused.rows("select 1") == other.rows("select 1") == [[b"1"]]
        pooler.admin("PAUSE app user=app")
        paused.send(messages.query("select 2"))
        assert paused.is_silent()
        assert other.rows("select 3") == [[b"3"]]
        (row,) = pooler.admin("SHOW DATABASES")
        assert row["paused"] == 0
        pooler.admin("RESUME user = app")
        assert not _complaints(paused.read_until(b"Z"))


# ---- RECONNECT and WAIT_CLOSE ---------------------------------------------------------------


def test_reconnect_replaces_servers_as_they_become_idle(pooler: Pooler, pg: PostgreSQL) -> None:
    with _login(pooler) as holder, _login(pooler) as other:
        holder.query("begin")
        (held,) = holder.rows("select pg_backend_pid()")
        (old,) = other.rows("select pg_backend_pid()")
        pooler.admin("RECONNECT app")
        (new,) = other.rows("select pg_backend_pid()")
        assert new != old
        assert holder.rows("select pg_backend_pid()") == [held]
        with _said(pooler, "WAIT_CLOSE app") as wait:
            wait_for(lambda: "the admin says wait_close" in pooler.log(), "it is said")
            assert not wait.done()
            holder.query("commit")
            assert wait.result() == []
        pids = {each.pid for each in pg.backends("app", "app")}
        assert not pids & {int(row[0]) for row in (held, old) if row[0]}
        assert holder.rows("select 1") == [[b"1"]]


# ---- DISABLE and ENABLE ---------------------------------------------------------------------


def test_disable_lets_nobody_else_in(pooler: Pooler) -> None:
    with _login(pooler) as inside:
        pooler.admin("DISABLE app")
        (row,) = [each for each in pooler.admin("SHOW DATABASES") if each["name"] == "app"]
        assert (row["disabled"], row["paused"]) == (1, 0)
        with pytest.raises(psycopg.OperationalError, match="does not allow connections: app"):
            pooler.connect()
        pooler.connect(database="bench").close()
        assert inside.rows("select 1") == [[b"1"]]
        pooler.admin("ENABLE app")
        pooler.connect().close()


# ---- KILL -----------------------------------------------------------------------------------


def test_kill_drops_clients_and_servers_at_once(pooler: Pooler, pg: PostgreSQL) -> None:
    with (
        _login(pooler) as idle,
        _login(pooler) as running,
        _login(pooler) as holding,
        _login(pooler, "bench") as other,
    ):
        idle.rows("select 1")
        holding.query("begin")
        holding.query("select pg_advisory_xact_lock(7)")
        running.send(messages.query("select pg_sleep(60)"))
        wait_for(lambda: len(_active(pooler)) == 2, "two are at work")
        assert pooler.admin("KILL app") == []
        assert not pg.backends("app", "app")
        for wire in (idle, running, holding):
            assert _complaints(wire.read_to_end()) == [("FATAL", "57P01")]
        assert other.rows("select 2") == [[b"2"]]
        with _login(pooler) as late:
            late.send(messages.query("select 3"))
            assert late.is_silent()
            pooler.admin("RESUME app")
            assert not _complaints(late.read_until(b"Z"))
    wait_for_balance(pooler, 0)


def test_kill_client_drops_one(pooler: Pooler, pg: PostgreSQL) -> None:
    with _login(pooler) as victim, _login(pooler) as other:
        other.query("begin")
        other.query("select 1")
        victim.send(messages.query("select pg_sleep(60)"))
        wait_for(lambda: len(_active(pooler)) == 2, "two are at work")
        number = _number(victim)
        assert number in _active(pooler)
        assert pooler.admin(f"KILL_CLIENT {number}") == []
        assert _complaints(victim.read_to_end()) == [("FATAL", "57P01")]
        assert other.query("commit")[-1].body == b"I"
        wait_for(lambda: len(pg.backends("app", "app")) == 1, "its server is closed")
        with pytest.raises(psycopg.errors.UndefinedObject, match="client not found"):
            pooler.admin(f"KILL_CLIENT {number}")


# ---- what is refused ------------------------------------------------------------------------


def test_mistakes_change_nothing(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1)
    for command, words in (
        ("PAUSE nowhere", "no such database: nowhere"),
        ("PAUSE user=nobody", "no such user: nobody"),
        ("PAUSE greenpool", "cannot pause admin db: greenpool"),
        ("RESUME", "pooler is not paused/suspended"),
        ("RESUME app", "database app is not paused"),
        ("DISABLE", "a database is required"),
        ("KILL_CLIENT x", "invalid client pointer supplied"),
        ("PAUSE app bench", 'syntax error at or near "bench"'),
        ("SUSPEND app", 'syntax error at or near "app"'),
    ):
        with pytest.raises(psycopg.Error, match=words):
            pooler.admin(command)
    assert not any(row["paused"] or row["disabled"] for row in pooler.admin("SHOW POOLS"))
    pooler.admin("PAUSE")
    with pytest.raises(psycopg.Error, match="already suspended/paused"):
        pooler.admin("PAUSE")
    pooler.admin("RESUME")


# ---- below ----------------------------------------------------------------------------------


def _login(pooler: Pooler, database: str = "app", name: str = "app") -> Wire:
    wire = Wire.connect(pooler.host, pooler.port)
    wire.login(name, database)
    return wire


@contextmanager
def _said(pooler: Pooler, command: str) -> Iterator[Future[Rows]]:
    """Give a command whose end is not waited for; it must have ended with the block."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(pooler.admin, command)


def _pool(pooler: Pooler, database: str = "app") -> dict[str, Any]:
    (row,) = [each for each in pooler.admin("SHOW POOLS") if each["database"] == database]
    return row


def _number(wire: Wire) -> int:
    """Return the client's id in SHOW CLIENTS."""
    return int.from_bytes(wire.backend_key[:4], "big")


def _active(pooler: Pooler) -> list[int]:
    rows = pooler.admin("SHOW CLIENTS")
    return [each["id"] for each in rows if each["database"] == "app" and each["state"] == "active"]


def _workers_alive(pooler: Pooler) -> Rows:
    return [each for each in pooler.admin("SHOW WORKERS") if each["state"] == "alive"]


def _complaints(found: list[Message]) -> list[tuple[str, str]]:
    errors = [each.fields for each in found if each.kind == b"E"]
    return [(each["S"], each["C"]) for each in errors]


def test_set_holds_in_all_workers_until_the_next_reload(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2, **QUIET)

    def setting(name: str) -> str:
        (row,) = [each for each in pooler.admin("SHOW CONFIG") if each["key"] == name]
        return str(row["value"])

    pooler.admin("SET log_level = debug")
    pooler.admin("SET shutdown_timeout = '7s'")
    wait_for(lambda: {setting("log_level") for _ in range(4)} == {"debug"}, "all workers have it")
    assert setting("shutdown_timeout") == "7s"
    with (
        pooler.log_contains(r"DEBUG.* gone during login"),
        socket.create_connection((pooler.host, pooler.port)) as sock,
    ):
        sock.send(b"\0")
    pooler.reload()
    assert (setting("log_level"), setting("shutdown_timeout")) == ("info", "10s")
    with pytest.raises(psycopg.Error, match="is not supported by the admin console"):
        pooler.admin("SET query_wait_timeout = '1s'")
