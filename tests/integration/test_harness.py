"""The harness must be right before anything that stands on it is believed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.integration.harness import messages, processes
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.ports import PortLock
from tests.integration.harness.postgres import ROLES, PostgreSQL
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import ClosedByPeer, Wire


def test_server_has_its_version(pg: PostgreSQL) -> None:
    ((version,),) = pg.sql("select current_setting('server_version_num')::int / 10000")
    assert version == pg.major


@pytest.mark.parametrize("role", ROLES)
def test_wire_logs_in_as_the_role_demands(pg: PostgreSQL, role: str) -> None:
    with Wire.connect(pg.host, pg.port) as wire:
        wire.login(role, "app")
        assert wire.rows("select current_user") == [[role.encode()]]
        assert len(wire.backend_key) == 8
        assert wire.parameters["session_authorization"] == role


@pytest.mark.parametrize("role", [each for each in ROLES if each != "app_trust"])
def test_wire_is_refused_with_a_wrong_password(pg: PostgreSQL, role: str) -> None:
    with Wire.connect(pg.host, pg.port) as wire:
        with pytest.raises(AssertionError, match="password authentication failed"):
            wire.login(role, "app", password="wrong")
        with pytest.raises(ClosedByPeer):
            wire.read()


def test_wire_speaks_the_extended_protocol(pg: PostgreSQL) -> None:
    with Wire.connect_unix(pg.socket_dir / f".s.PGSQL.{pg.port}") as wire:
        wire.login()
        wire.send(messages.extended("select $1::int + 1, $2::text", [b"41", None]))
        found = wire.read_until(b"Z")
        assert [each.kind for each in found] == [b"1", b"2", b"T", b"D", b"C", b"Z"]
        assert found[3].values == [b"42", None]
        assert wire.is_silent()
        wire.send(messages.terminate())
        assert wire.read_to_end() == []


def test_wire_copies_calls_functions_and_cancels(pg: PostgreSQL) -> None:
    with Wire.connect(pg.host, pg.port) as wire:
        wire.login()
        wire.query("create temp table t (a int)")
        wire.send(messages.query("copy t from stdin"))
        assert wire.read().kind == b"G"
        wire.send(messages.copy_data(b"1\n2\n"), messages.copy_done())
        assert wire.read_until(b"Z")[0].body == b"COPY 2\0"
        oid = int(wire.rows("select 'length(text)'::regprocedure::oid")[0][0] or b"0")
        wire.send(messages.function_call(oid, [b"four"]))
        assert wire.read_until(b"Z")[0].body.endswith(b"4")
        wire.send(messages.query("select pg_sleep(20)"))
        wait_for(lambda: [each.state for each in pg.backends("app")] == ["active"], "it sleeps")
        with Wire.connect(pg.host, pg.port) as other:
            other.send(messages.cancel_request(wire.backend_key))
            assert other.read_to_end() == []
        error = next(each for each in wire.read_until(b"Z") if each.kind == b"E")
        assert error.fields["C"] == "57014"


def test_backends_can_be_seen_and_terminated(pg: PostgreSQL) -> None:
    with pg.connect("app", "app") as connection:
        (backend,) = pg.backends(user="app")
        assert backend.datname == "app"
        assert backend.pid == connection.info.backend_pid
        assert pg.terminate(user="app_md5") == 0
        assert pg.terminate(user="app") == 1
        with pytest.raises(psycopg.OperationalError, match="terminating connection"):
            connection.execute("select 1")
    assert pg.backends(user="app") == []


def test_server_stops_and_starts(pg: PostgreSQL) -> None:
    pg.stop()
    assert not pg.is_running
    with pytest.raises(psycopg.OperationalError, match="Connection refused"):
        pg.connect()
    pg.start()
    assert pg.sql("select 1") == [(1,)]


def test_database_is_empty_and_belongs_to_app(pg: PostgreSQL, database: str) -> None:
    with pg.connect("app", database) as connection:
        connection.execute("create table t (a int)")
    assert pg.sql("select count(*) from t", database=database) == [(0,)]


@pytest.mark.skipif("GREENPOOL_SANITIZED" not in os.environ, reason="only for scripts/test --san")
def test_pooler_runs_the_sanitizer_build(pooler: Pooler) -> None:
    for pid in [pooler.master_pid, *pooler.worker_pids()]:
        libraries = Path(f"/proc/{pid}/maps").read_text()
        assert "libasan" in libraries
        assert f"{os.environ['GREENPOOL_SANITIZED']}/greenpool/_engine" in libraries


def test_ports_are_never_given_twice() -> None:
    locks = [PortLock() for _ in range(20)]
    assert len({lock.port for lock in locks}) == 20
    for lock in locks:
        lock.release()


def test_orphans_cannot_hide() -> None:
    sleeper = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    before = processes.descendants()
    subprocess.run(
        [sys.executable, "-c", f"import os, subprocess, sys; {sleeper}; os._exit(0)"], check=True
    )
    orphans = [each for each in processes.descendants() if each not in before]
    processes.kill_all(orphans)
    assert len(orphans) == 1
    assert processes.descendants() == before
