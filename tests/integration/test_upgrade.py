"""Upgrades with real PostgreSQL: who was there stays, who comes is served, nothing is left."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.crowd import Crowd
from tests.integration.harness.installed import status
from tests.integration.harness.openings import everything_open
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.processes import halted
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

pytestmark = ANY_POSTGRESQL

SELF = "select pg_backend_pid()"
TEN = 10
MEGABYTE = 1 << 20


class Knocker:
    """Connect again and again, from a thread of its own; `refused` counts who was not let in."""

    def __init__(self, pooler: Pooler) -> None:
        self.address = pooler.host, pooler.port
        self.let_in = self.refused = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._knock, daemon=True)

    def __enter__(self) -> Knocker:
        self._thread.start()
        wait_for(lambda: self.let_in > 2, "somebody opens")
        return self

    def __exit__(self, *_error: object) -> None:
        seen = self.let_in
        wait_for(lambda: self.let_in > seen + 2 or self.refused, "somebody opens")
        self._is_over.set()
        self._thread.join()

    def _knock(self) -> None:
        while not self._is_over.is_set():
            try:
                with socket.create_connection(self.address, timeout=10) as door:
                    door.sendall(b"\0\0\0\x08\x04\xd2\x16\x2f")  # SSLRequest
                    assert door.recv(1) == b"N"
                self.let_in += 1
            except (OSError, AssertionError):
                self.refused += 1


def backends(pooler: Pooler, count: int) -> set[int]:
    """Return the backends that `count` clients get at the same time."""
    clients = [pooler.connect(autocommit=False) for _ in range(count)]
    try:
        return {each.execute(SELF).fetchone()[0] for each in clients}  # type: ignore[index]
    finally:
        for each in clients:
            each.close()


def servers(pooler: Pooler) -> set[int]:
    """Return the backends that greenpool has in hand: there may be more than clients needed.

    It asks PostgreSQL for itself now and then, and its workers hear of each other's servers only
    a moment later.
    """
    return {row["remote_pid"] for row in pooler.admin("show servers") if row["user"] == "app"}


def memory_of(master: psutil.Process) -> int:
    """Return the bytes that greenpool alone uses: of each process, and of all in common."""
    family = [master, *master.children(recursive=True)]
    files = (each.stat() for each in Path(f"/proc/{master.pid}/fd").iterdir() if is_memory(each))
    common = {each.st_ino: each.st_blocks * 512 for each in files}
    return sum(each.memory_full_info().uss for each in family) + sum(common.values())


def is_memory(descriptor: Path) -> bool:
    return os.readlink(descriptor).startswith("/memfd:greenpool")


def wait_until_alone(pooler: Pooler) -> None:
    """Wait until nothing is left of earlier generations."""
    wait_for(lambda: not pooler.elders(), "the old generation has ended")


def test_command_upgrades_and_idle_servers_stay(pooler: Pooler) -> None:
    before = backends(pooler, 4)
    old_master, old_workers = pooler.master_pid, pooler.worker_pids()
    with Knocker(pooler) as knocker:
        done = pooler.upgrade()
        assert done.returncode == 0, done.stderr
        wait_until_alone(pooler)
    assert knocker.refused == 0
    fields = status(pooler)
    assert fields["pid"] == pooler.master_pid != old_master
    assert done.stdout == f"upgraded: the master is pid {pooler.master_pid}\n"
    assert fields["generation"] == 2
    assert fields["last_upgrade"]["ok"]
    assert not {*old_workers} & {*pooler.worker_pids()}
    assert len(backends(pooler, 4)) == 4
    assert before <= servers(pooler)


def test_signal_upgrades_under_load_and_nobody_is_disturbed(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2, **QUIET)
    with Crowd(pooler, "select pg_sleep(0.002)") as crowd, Knocker(pooler) as knocker:
        crowd.gather(24, least=4)
        crowd.start()
        crowd.wait_for_turns(3)
        with pooler.log_contains("upgraded: the master is now pid", 60.0):
            os.kill(pooler.master_pid, signal.SIGUSR2)
        pooler.follow()
        crowd.wait_for_turns(20)
        crowd.stop()
        assert not [each for each in crowd.members if each.errors or each.is_gone]
    assert knocker.refused == 0


def test_client_in_a_transaction_moves_and_limits_hold_over_both(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    pooler = make_pooler(2, pools={"app": {"users": [user(pool_size=2)]}})
    with pooler.connect(autocommit=False) as stays:
        own = stays.execute(SELF).fetchone()
        assert pooler.upgrade().returncode == 0
        with pooler.connect(autocommit=False) as newcomer:
            assert newcomer.execute(SELF).fetchone() != own
            assert len(pg.backends("app")) == 2
            with pytest.raises(Exception, match="query_wait_timeout"), pooler.connect() as third:
                third.execute("select 1")
            assert len(pg.backends("app")) == 2
        wait_until_alone(pooler)
        assert stays.execute(SELF).fetchone() == own
        stays.commit()
        assert stays.execute("select 1").fetchone() == (1,)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("io_backend", ["epoll", "io_uring"])
def test_everything_open_moves_from_generation_to_generation(
    make_pooler: MakePooler, pg: PostgreSQL, io_backend: str
) -> None:
    pooler = make_pooler(2, io_backend=io_backend)
    with everything_open(pooler):
        before = {each.pid for each in pg.backends("app")}
        for _ in range(3):
            assert pooler.upgrade().returncode == 0
            wait_until_alone(pooler)
        assert before <= {each.pid for each in pg.backends("app")}


def test_cancel_reaches_a_client_of_the_other_generation(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1)
    with pooler.connect() as stays:
        stays.execute("select 1")
        assert pooler.upgrade().returncode == 0
        failure: list[BaseException] = []

        def sleep() -> None:
            try:
                stays.execute("select pg_sleep(30)")
            except Exception as exc:
                failure.append(exc)

        sleeper = threading.Thread(target=sleep)
        sleeper.start()
        wait_for(lambda: [b for b in pooler.pg.backends("app") if b.state == "active"], "it sleeps")
        stays.cancel()  # a new connection: the new generation accepts it
        sleeper.join(10)
        assert "canceling statement due to user request" in str(failure)
    wait_until_alone(pooler)


@pytest.mark.timeout(240)  # ten times two starts of the interpreter, on a busy machine
def test_ten_upgrades_leave_nothing_behind(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = make_pooler(2)
    before = backends(pooler, 3)
    counts: list[tuple[int, int]] = []
    memory: list[int] = []
    for _ in range(TEN):
        done = pooler.upgrade()
        assert done.returncode == 0, done.stderr
        wait_until_alone(pooler)
        wait_for(lambda: len(pooler.worker_pids()) == 2, "both workers are there")
        master = psutil.Process(pooler.master_pid)
        counts.append((master.num_fds(), len(master.children(recursive=True))))
        memory.append(memory_of(master))
        assert len(backends(pooler, 3)) == 3
        assert before <= servers(pooler)
    assert status(pooler)["generation"] == TEN + 1
    assert counts[-1] == counts[0], counts
    assert min(memory[-3:]) < max(memory[:3]) + MEGABYTE, memory  # alike as generations are
    left = {path.name for path in pooler.directory.iterdir()}
    assert left == {"greenpool.yaml", "greenpool.log", "greenpool.pid", "greenpool.pid.sock"}
    assert servers(pooler) == {each.pid for each in pg.backends("app")}


@pytest.mark.parametrize("io_backend", ["epoll", "io_uring"])
def test_who_has_said_nothing_holds_nothing(make_pooler: MakePooler, io_backend: str) -> None:
    pooler = make_pooler(1, io_backend=io_backend, client_login_timeout="1h")
    with Wire.connect(pooler.host, pooler.port) as silent:
        assert pooler.upgrade().returncode == 0
        wait_until_alone(pooler)
        silent.login()
        assert silent.rows("select 1") == [[b"1"]]


def test_question_of_its_own_that_waits_holds_nothing(make_pooler: MakePooler) -> None:
    """greenpool asked for who gave up, in a pool that was paused: the old one stayed for that."""
    pooler = make_pooler(1, pools={"app": {}}, client_login_timeout="4s")
    pooler.admin("pause app")

    def has_asked() -> bool:
        with pytest.raises(psycopg.OperationalError):
            pooler.connect()  # nobody knows PostgreSQL's parameters yet
        return any(row["application_name"] == "greenpool" for row in pooler.admin("show clients"))

    wait_for(has_asked, "greenpool asks PostgreSQL for itself")
    assert pooler.upgrade().returncode == 0
    wait_until_alone(pooler)
    assert not pooler.pg.backends("app")
    pooler.admin("resume app")
    with pooler.connect() as client:
        assert client.execute("select 1").fetchone() == (1,)


def test_console_and_daemon_upgrade(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1)
    with pooler.log_contains("the generation before has ended", 60.0):
        pooler.admin("upgrade")
    pooler.follow()
    assert status(pooler)["generation"] == 2
    assert pooler.command("stop", "-c", str(pooler.config_path)).returncode == 0
    assert pooler.stop() == 0


def test_new_configuration_is_in_force_after_the_upgrade(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2, pools={"app": {}})
    before = backends(pooler, 1)
    done = pooler.upgrade(
        pools={"app": {"startup_parameters": {"work_mem": "77kB"}}, "bench": {}}, workers=3
    )
    assert done.returncode == 0, done.stderr
    wait_until_alone(pooler)
    with pooler.connect(database="bench") as new:
        assert new.execute("select 1").fetchone() == (1,)
    wait_for(lambda: not before & backends(pooler, 1), "the server is replaced")
    with pooler.connect() as client:
        assert client.execute("show work_mem").fetchone() == ("77kB",)
    assert len(pooler.worker_pids()) == 3
    assert pooler.upgrade(pools={"app": {}}, workers=1).returncode == 0
    wait_until_alone(pooler)
    with pytest.raises(Exception, match="bench"):
        pooler.connect(database="bench")
    assert len(pooler.worker_pids()) == 1


def test_stop_after_an_upgrade_ends_both_generations(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1, shutdown_timeout="1h")
    with pooler.connect(autocommit=False) as stays:
        stays.execute("select 1")
        with halted(*pooler.worker_pids()):  # it hands nothing over
            assert pooler.upgrade().returncode == 0
            assert pooler.elders()
            elders = [psutil.Process(pid) for pid in pooler.elders()]
            os.kill(pooler.master_pid, signal.SIGTERM)
            wait_for(lambda: "stopping: transactions have 3600 s" in pooler.log(), "it is told")
        assert stays.execute("select 2").fetchone() == (2,)
        stays.commit()
        assert pooler.stop() == 0
        psutil.wait_procs(elders, timeout=30)
        assert not [each for each in elders if each.is_running() and each.status() != "zombie"]


@pytest.mark.timeout(180)
def test_sockets_of_the_configuration_come_and_go(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1)
    path = pooler.directory / f".s.PGSQL.{pooler.port}"
    with pooler.connect() as stays:
        stays.execute("select 1")
        done = pooler.upgrade(unix_socket_dir=str(pooler.directory), unix_socket_mode="0600")
        assert done.returncode == 0, done.stderr
        file = path.stat().st_ino
        assert pooler.upgrade(unix_socket_mode="0660").returncode == 0
        assert (path.stat().st_ino, path.stat().st_mode & 0o777) == (file, 0o660)
        with pooler.connect(host=str(pooler.directory)) as local:
            assert local.execute("select 1").fetchone() == (1,)
        assert pooler.upgrade(unix_socket_dir=None).returncode == 0
        assert not path.exists()
        wait_until_alone(pooler)
        assert stays.execute("select 1").fetchone() == (1,)
