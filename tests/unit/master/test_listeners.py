"""Listening sockets: where, with which rights, and what is said when it cannot be."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenpool.errors import StartupError
from greenpool.master.listeners import Listeners, listen_unix

BACKLOG = 16
has_ipv6 = socket.has_ipv6 and Path("/proc/net/if_inet6").exists()


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    made = Listeners()
    yield made
    made.close()


def open_all(listeners: Listeners, *hosts: str, port: int, unix_dir: Path | None = None):
    listeners.open_all(hosts, port, unix_dir, 0o660, BACKLOG)


def test_every_address_is_listened_on(listeners: Listeners, tmp_path: Path, port: int):
    hosts = ["127.0.0.1", "::1"] if has_ipv6 else ["127.0.0.1"]
    open_all(listeners, *hosts, port=port, unix_dir=tmp_path)
    path = tmp_path / f".s.PGSQL.{port}"
    expected = [f"127.0.0.1:{port}", f"[::1]:{port}"][: len(hosts)]
    assert listeners.addresses() == [*expected, str(path)]
    for listener in listeners.sockets:
        with socket.socket(listener.family) as client:
            client.connect(listener.getsockname())
    assert path.stat().st_mode & 0o777 == 0o660


@pytest.mark.skipif(not has_ipv6, reason="this machine has no IPv6")
def test_any_ipv4_and_any_ipv6_stand_side_by_side(listeners: Listeners, port: int):
    open_all(listeners, "0.0.0.0", "::", port=port)
    assert listeners.addresses() == [f"0.0.0.0:{port}", f"[::]:{port}"]


def test_address_in_use_is_named_with_what_to_do(listeners: Listeners, port: int):
    with socket.create_server(("127.0.0.1", port)), pytest.raises(StartupError) as caught:
        open_all(listeners, "127.0.0.1", port=port)
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: address already in use: another process listens "
        "there (ss -ltnp names it); stop it, or change general.port"
    )


def test_failure_leaves_nothing_open(listeners: Listeners, tmp_path: Path, port: int):
    missing = tmp_path / "missing"
    with pytest.raises(StartupError, match="make the directory first"):
        open_all(listeners, "127.0.0.1", port=port, unix_dir=missing)
    assert listeners.sockets == []
    socket.create_server(("127.0.0.1", port)).close()


def test_foreign_address_is_refused_with_the_key(listeners: Listeners, port: int):
    with pytest.raises(StartupError, match=r"this machine has no such address; see general\.host"):
        open_all(listeners, "192.0.2.1", port=port)


def test_socket_of_a_dead_process_is_replaced(listeners: Listeners, tmp_path: Path, port: int):
    path = tmp_path / f".s.PGSQL.{port}"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    open_all(listeners, port=port, unix_dir=tmp_path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_socket_of_a_living_process_is_left_alone(listeners: Listeners, tmp_path: Path, port: int):
    path = tmp_path / f".s.PGSQL.{port}"
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(path))
        living.listen()
        with pytest.raises(StartupError, match="another process does; stop it, or change port"):
            open_all(listeners, port=port, unix_dir=tmp_path)
        assert path.exists()


def test_file_that_is_no_socket_is_never_removed(tmp_path: Path):
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(StartupError, match="a file that is no socket is there"):
        listen_unix(path, 0o600, BACKLOG)
    assert path.read_text() == "data"


def test_path_that_does_not_fit_is_refused(tmp_path: Path):
    path = tmp_path / ("x" * 120)
    with pytest.raises(StartupError, match="at most 107 bytes"):
        listen_unix(path, 0o600, BACKLOG)


def test_close_removes_the_unix_socket(tmp_path: Path, port: int):
    listeners = Listeners()
    open_all(listeners, port=port, unix_dir=tmp_path)
    listeners.close()
    listeners.close()  # a drain has closed them before the end does
    assert os.listdir(tmp_path) == []
