"""Limits on clients: of a user, of a database, of an address, and how often that may try."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from pathlib import Path

import psycopg
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.waiting import wait_for

pytestmark = ANY_POSTGRESQL

OF_ROLE = 'too many connections for role "app"'
OF_ADDRESS = 'too many connections from host "127.0.0.1"'
OF_DATABASE = 'too many connections for database "app"'
POOLS = {name: {"users": [user("app"), user("app_trust")]} for name in ("app", "bench")}


def refusal(pooler: Pooler, name: str = "app", database: str = "app", password: str = "") -> str:
    more = {"password": password} if password else {}
    try:
        pooler.connect(name, database, **more).close()
    except psycopg.OperationalError as exc:
        return str(exc).strip().rpartition("FATAL:  ")[2]
    return ""


def test_clients_of_a_user(make_pooler: MakePooler):
    pooler = make_pooler(2, pools=POOLS, max_user_client_connections=3)
    with contextlib.ExitStack() as open_ones:
        for database in ("app", "bench", "app"):
            open_ones.enter_context(pooler.connect("app", database))
        assert refusal(pooler, "app", "bench") == OF_ROLE
        assert refusal(pooler, "app_trust") == ""
        assert refusal(pooler, password="wrong").startswith("password authentication failed")
    wait_for(lambda: refusal(pooler) == "", "places come free")


def test_clients_of_a_database(make_pooler: MakePooler):
    pooler = make_pooler(2, pools=POOLS, max_db_client_connections=2)
    with pooler.connect("app"), pooler.connect("app_trust"):
        assert refusal(pooler, "app_trust") == OF_DATABASE
        assert refusal(pooler, "app", "bench") == ""
        assert pooler.admin("SHOW USERS")  # the admin is nobody's client
        assert pooler.reload(max_db_client_connections=0).returncode == 0
        assert refusal(pooler) == ""


def test_clients_of_a_pool_s_user(make_pooler: MakePooler):
    pools = {name: {"users": [user("app", max_client_connections=1)]} for name in POOLS}
    pooler = make_pooler(1, pools=pools)
    with pooler.connect("app", "app"), pooler.connect("app", "bench"):
        assert refusal(pooler) == OF_ROLE


def test_those_who_only_knock_do_not_count(make_pooler: MakePooler):
    pooler = make_pooler(1, max_user_client_connections=1)
    with contextlib.ExitStack() as open_ones:
        for _ in range(5):
            sock = open_ones.enter_context(_knock(pooler))
            assert sock.recv(1) == b"R"
        assert refusal(pooler) == ""


def _knock(pooler: Pooler) -> socket.socket:
    """Begin to log in, and leave it at that."""
    sock = socket.create_connection((pooler.host, pooler.port), 10)
    body = b"\0\3\0\0user\0app\0database\0app\0\0"
    sock.sendall((len(body) + 4).to_bytes(4, "big") + body)
    return sock


def test_logins_of_an_address(make_pooler: MakePooler, tmp_path: Path):
    pooler = make_pooler(2, login_rate_limit=1, unix_socket_dir=str(tmp_path))
    told = [refusal(pooler) for _ in range(10)]
    too_many = 'too many login attempts from host "127.0.0.1"'
    assert set(told) == {"", too_many}
    dsn = f"host={tmp_path} port={pooler.port} user=app password=secret dbname=app"
    for _ in range(20):
        psycopg.connect(dsn).close()  # UNIX sockets have no address
    wait_for(lambda: refusal(pooler) == "", "the address may try again")


def test_clients_of_an_address(make_pooler: MakePooler, tmp_path: Path):
    """The limit holds over workers, a reload that sets it, an upgrade and a worker's death."""
    pooler = make_pooler(2, unix_socket_dir=str(tmp_path))
    dsn = f"host={tmp_path} port={pooler.port} user=app password=secret dbname=app"
    with contextlib.ExitStack() as open_ones:
        knocks = [open_ones.enter_context(_knock(pooler)) for _ in range(2)]
        for knock in knocks:
            assert knock.recv(1) == b"R"
        open_ones.enter_context(pooler.connect())
        assert pooler.reload(max_address_client_connections=4).returncode == 0
        open_ones.enter_context(pooler.connect())
        assert refusal(pooler) == OF_ADDRESS
        assert refusal(pooler, password="wrong") == OF_ADDRESS  # it is not even asked
        for _ in range(5):
            open_ones.enter_context(psycopg.connect(dsn))
        assert _refused_addresses(pooler) == 2
        assert pooler.upgrade().returncode == 0
        assert refusal(pooler) == OF_ADDRESS
        for knock in knocks:
            knock.close()
        wait_for(lambda: refusal(pooler) == "", "who has given up does not count")
        open_ones.enter_context(pooler.connect())
        for pid in pooler.worker_pids():
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: refusal(pooler) == "", "nor do those whose worker has died")


def _refused_addresses(pooler: Pooler) -> int:
    return {row["list"]: row["items"] for row in pooler.admin("SHOW LISTS")}["refused_addresses"]


@pytest.mark.parametrize(
    ("workers", "key"),
    [
        (1, "max_user_client_connections"),
        (2, "max_user_client_connections"),
        (2, "max_address_client_connections"),
    ],
)
def test_limit_holds_over_workers_when_many_come_at_once(
    make_pooler: MakePooler, workers: int, key: str
):
    pooler = make_pooler(workers, **{key: 4})
    let_in: list[psycopg.Connection] = []

    def come() -> None:
        with contextlib.suppress(psycopg.OperationalError):
            let_in.append(pooler.connect())

    threads = [threading.Thread(target=come) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert 1 <= len(let_in) <= 4
    for connection in let_in:
        connection.close()
