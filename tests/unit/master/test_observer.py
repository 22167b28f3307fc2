"""The observer in the master's hands: born, told, born again, gone with it."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest

from greenpool.config import Web, load
from greenpool.errors import StartupError
from greenpool.master.live import ReloadResult
from greenpool.master.observer import last_reload, listen
from greenpool.master.pools import places_for
from tests.integration.harness.waiting import wait_for
from tests.unit.master.conftest import MakeHouse
from tests.unit.master.house import House

# The faked segment says it of all its places.
ALL_LIVE = f"{places_for(2)} of {places_for(2)} workers live\n"


@pytest.fixture
def web_port(port: int) -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        other = listener.getsockname()[1]
    assert other != port
    return other


def observed(house: House, web_port: int, **pools: object) -> House:
    user = {"username": "app", "password": "x", "pool_size": 5}
    web = {"enabled": True, "host": "127.0.0.1", "port": web_port}
    house.configure({name: {"users": [user]} for name in pools or ("app",)}, web)
    house.start()
    house.workers = house.expect_serving()
    return house


def observers(house: House) -> list[int]:
    children = psutil.Process(house.pid).children()
    return [each.pid for each in children if each.pid not in house.workers.values()]


def page(web_port: int, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{web_port}{path}", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def web_of(directory: Path, **settings: Any) -> Web:
    file = directory / "greenpool.yaml"
    file.write_text("pools: {app: {users: [{username: u}]}}\n")
    return replace(load(file, {}).web, **settings)


def test_observer_serves_beside_the_workers(make_house: MakeHouse, web_port: int) -> None:
    house = observed(make_house("serve"), web_port)
    assert f"INFO: metrics on http://127.0.0.1:{web_port}/metrics" in house.log()
    assert page(web_port, "/healthz") == ALL_LIVE
    assert len(observers(house)) == 1
    house.signal(signal.SIGTERM)
    assert house.exit_code() == 0
    assert "ERROR" not in house.log()


def test_observer_is_told_of_reloads(make_house: MakeHouse, web_port: int) -> None:
    house = observed(make_house("serve"), web_port)
    before = page(web_port, "/metrics")
    assert "greenpool_clients_max 8192.0" in before
    house.config_file.write_text(
        house.config_file.read_text().replace("general:", "general:\n  max_connections: 77")
    )
    assert house.ask("reload").returncode == 0
    wait_for(lambda: "greenpool_clients_max 77.0" in page(web_port, "/metrics"), "it is told")


def test_killed_observer_is_followed_and_workers_stay(make_house: MakeHouse, web_port: int) -> None:
    house = observed(make_house("serve"), web_port)
    (first,) = observers(house)
    os.kill(first, signal.SIGKILL)
    house.expect_log(f"observer (pid {first}) was killed by SIGKILL: another follows")
    wait_for(lambda: [pid for pid in observers(house) if pid != first], "another is there")
    assert page(web_port, "/healthz") == ALL_LIVE
    assert "reclaim" not in house.seen


def test_signals_to_all_processes_do_not_end_it(make_house: MakeHouse, web_port: int) -> None:
    house = observed(make_house("serve"), web_port)
    (pid,) = observers(house)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(pid, number)
    assert page(web_port, "/healthz") == ALL_LIVE
    assert observers(house) == [pid]


def test_observer_that_cannot_live_stops_nobody(make_house: MakeHouse, web_port: int) -> None:
    house = observed(make_house("serve"), web_port, unseen=1)
    house.expect_log("nothing can be seen")
    house.expect_log("has exited with status 1: another follows in 0.1 s")  # ever later
    assert set(house.workers.values()) <= {
        each.pid for each in psutil.Process(house.pid).children()
    }
    house.signal(signal.SIGTERM)
    assert house.exit_code() == 0


def test_observer_ends_with_a_killed_master(make_house: MakeHouse, web_port: int) -> None:
    house = observed(make_house("serve"), web_port)
    (pid,) = observers(house)
    house.signal(signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(pid) or _is_zombie(pid), "it is gone")


def test_disabled_web_opens_nothing(tmp_path: Path) -> None:
    assert listen(web_of(tmp_path), ()).sockets == []


def test_port_in_use_is_told_with_its_key(tmp_path: Path, port: int) -> None:
    web = web_of(tmp_path, enabled=True, host=("127.0.0.1",), port=port)
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(StartupError, match=r"stop it, or change web\.port"),
    ):
        listen(web, ())


def test_start_counts_as_a_reload() -> None:
    assert last_reload(None, 5.0).at_s == 5.0
    failed = last_reload(ReloadResult("2026-01-02T03:04:05.678Z", errors=("bad",)), 5.0)
    assert (failed.at_s, failed.is_ok) == (1767323045.678, False)


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
