"""The master with real workers, a real engine and a real PostgreSQL."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.programs import PASSWORD
from tests.integration.harness.waiting import wait_for

pytestmark = ANY_POSTGRESQL

SELF = "select pg_backend_pid()"


def status(pooler: Pooler) -> dict[str, Any]:
    done = pooler.command("status", "--json", "-c", str(pooler.config_path))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_status_counts_clients_and_servers(pooler: Pooler):
    with pooler.connect() as first, pooler.connect():
        with first.transaction():
            first.execute("select 1")
            fields = status(pooler)
            assert fields["phase"] == "running"
            assert fields["pid"] == pooler.master_pid
            assert sorted(row["pid"] for row in fields["workers"]) == sorted(pooler.worker_pids())
            assert fields["clients"] == {"active": 1, "waiting": 0, "idle": 1}
            assert fields["servers"]["in_use"] == 1
        wait_for(lambda: status(pooler)["servers"]["in_use"] == 0, "the server is given back")


def test_killed_worker_is_replaced_and_the_pool_is_whole_again(
    make_pooler: MakePooler, pg: PostgreSQL
):
    pooler = make_pooler(2, pools={"app": {"users": [user(pool_size=3)]}})
    with pooler.connect() as connection:
        connection.execute(SELF)
        victim = next(row["pid"] for row in status(pooler)["workers"] if row["clients"])
        with pooler.log_contains(rf"worker \d \(pid {victim}\) was killed by SIGKILL"):
            os.kill(victim, signal.SIGKILL)
    wait_for(
        lambda: [row["state"] for row in status(pooler)["workers"]] == ["ready", "ready"],
        "both workers are ready",
    )
    assert victim not in pooler.worker_pids()
    # All three servers can be had at once: nothing of the dead worker's is still reserved.
    held = [pooler.connect(autocommit=False) for _ in range(3)]
    pids = {each.execute(SELF).fetchone() for each in held}
    assert len(pids) == 3
    for each in held:
        each.close()


def test_no_process_gains_privileges_or_shows_its_memory(make_pooler: MakePooler):
    pooler = make_pooler(2, core_dumps=False)
    for pid in (pooler.master_pid, *pooler.worker_pids()):
        assert "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()
        if os.geteuid() != 0:  # who may read everything
            with pytest.raises(PermissionError):
                Path(f"/proc/{pid}/maps").read_bytes()


def test_term_lets_a_transaction_end(make_pooler: MakePooler):
    pooler = make_pooler(2)
    busy, idle = pooler.connect(autocommit=False), pooler.connect()
    busy.execute("select 1")
    process = psutil.Process(pooler.master_pid)
    with pooler.log_contains("stopping: transactions have 10 s to end"):
        process.send_signal(signal.SIGTERM)
    # Closed as soon as its worker hears of it, without a query of its own, which finds that out.
    assert select.select([idle], [], [], 10)[0], "the idle client was not told"
    with pytest.raises(psycopg.OperationalError, match="terminating connection"):
        idle.execute("select 1")
    assert busy.execute("select 2").fetchone() == (2,)
    busy.commit()
    assert pooler.stop() == 0
    busy.close()


def test_quit_does_not_wait_for_a_transaction(make_pooler: MakePooler):
    pooler = make_pooler(2, shutdown_timeout="1h")
    busy = pooler.connect(autocommit=False)
    busy.execute("select 1")
    assert pooler.stop(signal.SIGQUIT) == 0
    with pytest.raises(psycopg.OperationalError):
        busy.execute("select 2")
    busy.close()


# A drain that was told again did not listen: its clients heard nothing, and it ended by SIGKILL.
@pytest.mark.parametrize("again", ["TERM", "QUIT", "stop --now"])
def test_second_stop_does_not_wait_for_the_time_of_the_first(make_pooler: MakePooler, again: str):
    pooler = make_pooler(2, shutdown_timeout="1h")
    clients = [pooler.connect(autocommit=False) for _ in range(4)]
    for each in clients:
        each.execute("select 1")
    process = psutil.Process(pooler.master_pid)
    with pooler.log_contains("stopping: transactions have 3600 s to end"):
        process.send_signal(signal.SIGTERM)
    assert clients[0].execute("select 2").fetchone() == (2,)
    if again == "stop --now":
        assert pooler.command("stop", "--now", "-c", str(pooler.config_path)).returncode == 0
    else:
        process.send_signal(signal.Signals[f"SIG{again}"])
    assert pooler.stop() == 0
    assert "killing it" not in pooler.log()
    for each in clients:
        with pytest.raises(psycopg.errors.AdminShutdown, match="administrator command"):
            each.execute("select 3")
        each.close()


def test_stop_command_waits_until_nothing_is_left(make_pooler: MakePooler):
    pooler = make_pooler(2)
    pids = [pooler.master_pid, *pooler.worker_pids()]
    done = pooler.command("stop", "-c", str(pooler.config_path))
    assert done.returncode == 0, done.stderr
    assert pooler.stop() == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_workers_and_servers_die_with_the_master(make_pooler: MakePooler, pg: PostgreSQL):
    pooler = make_pooler(2)
    connection = pooler.connect()
    connection.execute(SELF)
    workers = [psutil.Process(pid) for pid in pooler.worker_pids()]
    os.kill(pooler.master_pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []
    wait_for(lambda: not pg.backends(user="app"), "PostgreSQL has no backend of the pool's")
    with pytest.raises(psycopg.OperationalError):
        connection.execute(SELF)
    connection.close()
    pooler.stop()
    pooler.start()  # over what the dead one has left
    with pooler.connect() as again:
        again.execute(SELF)


def test_reload_adds_and_removes_pools_while_clients_work(make_pooler: MakePooler):
    pooler = make_pooler(2, pools={"app": {}})
    with pooler.connect() as stays:
        with pytest.raises(psycopg.OperationalError):
            pooler.connect(database="bench")
        done = pooler.reload({"app": {}, "bench": {}})
        assert done.returncode == 0, done.stderr
        assert 'pool "bench" added' in done.stdout
        with pooler.connect(database="bench") as new:
            assert new.execute("select current_database()").fetchone() == ("bench",)
            assert pooler.reload({"app": {}}).returncode == 0
            with pytest.raises(psycopg.OperationalError):
                new.execute("select 1")
        assert stays.execute("select 1").fetchone() == (1,)


def test_reload_replaces_servers_that_start_otherwise(make_pooler: MakePooler):
    pooler = make_pooler(1, pools={"app": {}})
    with pooler.connect() as connection:
        assert connection.execute("show work_mem").fetchone() != ("77kB",)
        before = connection.execute(SELF).fetchone()
        done = pooler.reload({"app": {"startup_parameters": {"work_mem": "77kB"}}})
        assert done.returncode == 0, done.stderr
        wait_for(lambda: connection.execute(SELF).fetchone() != before, "another server")
        assert connection.execute("show work_mem").fetchone() == ("77kB",)


def test_reload_with_another_address_waits_for_the_transaction(make_pooler: MakePooler):
    pooler = make_pooler(2, pools={"app": {}})
    with pooler.connect(autocommit=False) as busy, pooler.connect() as idle:
        own = busy.execute(SELF).fetchone()
        before = idle.execute(SELF).fetchone()
        done = pooler.reload({"app": {"server_host": "localhost"}})
        assert done.returncode == 0, done.stderr
        assert busy.execute(SELF).fetchone() == own
        wait_for(lambda: idle.execute(SELF).fetchone() != before, "another server")
        assert busy.execute(SELF).fetchone() == own
        busy.commit()
        wait_for(lambda: own not in [(b.pid,) for b in pooler.pg.backends("app")], "it is gone")
        busy.execute(SELF)
        busy.commit()


def test_reload_changes_size_mode_and_password_and_touches_nothing_else(make_pooler: MakePooler):
    def app(pool_size: int = 1, **settings: object) -> dict[str, Any]:
        settings |= {"server_username": "app", "server_password": PASSWORD}
        return {"app": {"users": [user("app", pool_size=pool_size, **settings)]}, "bench": {}}

    pooler = make_pooler(2, pools=app(), query_wait_timeout="1h")
    with (
        pooler.connect(database="bench") as other,
        pooler.connect(autocommit=False) as first,
        pooler.connect(autocommit=False) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        of_other, own = other.execute(SELF).fetchone(), first.execute(SELF).fetchone()
        waits = pool.submit(second.execute, SELF)
        assert not waits.done()
        assert pooler.reload(app(pool_size=2)).returncode == 0
        assert waits.result().fetchone() != own
        second.commit()
        assert first.execute(SELF).fetchone() == own
        first.commit()
        before = {each.pid for each in pooler.pg.backends("app", "app")}
        assert pooler.reload(app(pool_size=2, password="another")).returncode == 0
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            pooler.connect()
        pooler.connect(password="another").close()
        assert {first.execute(SELF).fetchone()} <= {(pid,) for pid in before}
        first.commit()
        assert pooler.reload(app(pool_mode="session", password="another")).returncode == 0
        wait_for(lambda: len(pooler.pg.backends("app", "app")) == 1, "one server is too many")
        with pooler.connect(password="another") as keeps:
            kept = keeps.execute(SELF).fetchone()
            waits = pool.submit(first.execute, SELF)
            assert keeps.execute(SELF).fetchone() == kept
            assert not waits.done()
        assert waits.result().fetchone()
        assert other.execute(SELF).fetchone() == of_other


def test_reload_of_a_bad_file_changes_nothing(make_pooler: MakePooler):
    pooler = make_pooler(2)
    with pooler.connect() as connection:
        done = pooler.reload(query_wait_timeout="soon", nonsense=1)
        assert done.returncode == 2
        assert "general.query_wait_timeout" in done.stderr
        assert "general.nonsense" in done.stderr
        assert connection.execute("select 1").fetchone() == (1,)
    assert not status(pooler)["last_reload"]["ok"]


def test_second_master_on_the_port_says_who_has_it(make_pooler: MakePooler):
    pooler = make_pooler(1)
    other = str(pooler.directory / "other.pid")
    done = pooler.command("start", "-c", str(pooler.config_path), "--pid-file", other)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{pooler.port}: address already in use" in done.stderr


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_root_serves_as_the_user_of_the_configuration(make_pooler: MakePooler):
    run_dir = subprocess.run(
        ["mktemp", "-d", "/tmp/greenpool-user-XXXXXX"], capture_output=True, text=True, check=True
    ).stdout.strip()
    os.chmod(run_dir, 0o777)
    try:
        pooler = make_pooler(2, user="nobody", pid_file=f"{run_dir}/pid", unix_socket_dir=run_dir)
        for pid in (pooler.master_pid, *pooler.worker_pids()):
            assert psutil.Process(pid).username() == "nobody"
        with pooler.connect() as connection:
            connection.execute("select 1")
        assert pooler.stop() == 0
        assert os.listdir(run_dir) == []
    finally:
        os.rmdir(run_dir)
