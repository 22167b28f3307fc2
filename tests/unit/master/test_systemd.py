"""What systemd is told, and what it leaves: a socket of our own stands for its own."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from greenpool.errors import ExitCode
from tests.unit.master.conftest import MakeHouse
from tests.unit.master.house import DEADLINE_S
from tests.unit.master.test_supervisor import status


class Manager:
    """The receiving end of NOTIFY_SOCKET.

    It listens all the time, as systemd does: the kernel keeps ten words for who does not.
    """

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self.path)
        self._heard: Queue[dict[str, str]] = Queue()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def hear(self, name: str) -> dict[str, str]:
        """Return the next message that has this name in it."""
        while name not in (fields := self._next()):
            pass
        return fields

    def hear_all_until(self, name: str) -> set[str]:
        """Return all names in the messages up to the first that has this one."""
        heard: set[str] = set()
        while name not in heard:
            heard |= {*self._next()}
        return heard

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self.path)
        self._thread.join()
        self._sock.close()

    def _next(self) -> dict[str, str]:
        return self._heard.get(timeout=DEADLINE_S)

    def _listen(self) -> None:
        while text := self._sock.recv(4096).decode():
            self._heard.put(dict(line.split("=", 1) for line in text.splitlines()))


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


def test_ready_reloading_and_stopping_are_told(make_house: MakeHouse, manager: Manager) -> None:
    house = make_house("serve")
    house.start(NOTIFY_SOCKET=manager.path)
    ready = manager.hear("READY")
    assert ready["STATUS"] == "generation 1, 2 workers"
    house.signal(signal.SIGHUP)
    assert int(manager.hear("RELOADING")["MONOTONIC_USEC"]) > 0
    manager.hear("READY")
    house.configure(nonsense=1)
    house.signal(signal.SIGHUP)
    manager.hear("RELOADING")
    manager.hear("READY")  # it serves as before
    house.signal(signal.SIGTERM)
    manager.hear("STOPPING")
    assert house.exit_code() == 0


def test_watchdog_hears_the_loop(make_house: MakeHouse, manager: Manager) -> None:
    house = make_house("serve")
    house.start(NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="100000")
    for _ in range(3):
        manager.hear("WATCHDOG")


def test_successor_is_named_and_feeds_the_watchdog(make_house: MakeHouse, manager: Manager) -> None:
    house = make_house("serve")
    house.start(NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="2000000")
    house.expect_serving()
    assert house.ask("upgrade").returncode == 0
    pid = int(manager.hear("MAINPID")["MAINPID"])
    assert pid == status(house)["pid"] != house.pid
    assert house.exit_code() == 0
    manager.hear("WATCHDOG")
    assert house.ask("stop").returncode == 0


# It said STOPPING, and the service manager took the whole of greenpool to be stopping.
def test_successor_that_fails_says_nothing(make_house: MakeHouse, manager: Manager) -> None:
    house = make_house("die_later")
    house.start(NOTIFY_SOCKET=manager.path)
    house.expect_serving()
    manager.hear("READY")
    assert house.ask("upgrade").returncode == 1
    house.signal(signal.SIGHUP)
    assert "STOPPING" not in manager.hear_all_until("RELOADING")
    manager.hear("READY")


def test_nobody_listens_to_what_is_told(make_house: MakeHouse) -> None:
    house = make_house("serve")
    house.start(NOTIFY_SOCKET="@greenpool-nobody")
    house.expect_serving()
    house.signal(signal.SIGTERM)
    assert house.exit_code() == 0


def leave(*fds: int) -> str:
    """Compose the program that has these descriptors from number 3 on, as systemd would."""
    lines = [f"os.dup2({fd}, {3 + n})" for n, fd in enumerate(fds)]
    lines.append(f"os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='{len(fds)}')")
    return "\n".join(lines)


def high(fd: int) -> int:
    """Return a copy with a number that no other move overwrites."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 50)


def test_sockets_of_the_service_manager_replace_our_own(
    make_house: MakeHouse, tmp_path: Path
) -> None:
    house = make_house("serve")
    path = tmp_path / "socket"
    tcp = socket.create_server(("127.0.0.1", 0))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(path))
    unix.listen()
    fds = [high(tcp.fileno()), high(unix.fileno())]
    expected = [f"127.0.0.1:{tcp.getsockname()[1]}", str(path)]
    house.start(first=leave(*fds), fds=fds)
    house.expect_serving()
    assert status(house)["listening"] == expected
    assert house.ask("upgrade").returncode == 0
    assert status(house)["listening"] == expected
    assert house.ask("stop").returncode == 0
    assert path.exists()  # it is not ours to remove
    tcp.close()
    unix.close()
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("wrong", ["a pipe", "a client"])
def test_descriptor_that_is_no_listener_is_refused(make_house: MakeHouse, wrong: str) -> None:
    house = make_house("serve")
    ours, theirs = socket.socketpair()
    read_fd, write_fd = os.pipe()
    fd = high(read_fd if wrong == "a pipe" else theirs.fileno())
    house.start(first=leave(fd), fds=[fd])
    assert house.exit_code() == ExitCode.FAILED
    assert "descriptor 3 of LISTEN_FDS is no " in house.log()
    for each in (ours, theirs):
        each.close()
    for number in (fd, read_fd, write_fd):
        os.close(number)


def test_sockets_of_another_process_are_left_alone(make_house: MakeHouse) -> None:
    house = make_house("serve")
    house.start(LISTEN_PID="1", LISTEN_FDS="3")
    house.expect_serving()
    assert status(house)["listening"] == [f"127.0.0.1:{house.port}"]
