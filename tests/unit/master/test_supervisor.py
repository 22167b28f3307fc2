"""The master as a whole: real processes and signals around trivial workers."""

from __future__ import annotations

import json
import os
import re
import select
import signal
from pathlib import Path

import pytest

from greenpool.errors import ExitCode
from tests.unit.master.conftest import MakeHouse
from tests.unit.master.house import DEADLINE_S, House


def has_ended(pidfd: int) -> bool:
    """Wait for the end of a process that is not our child."""
    return bool(select.select([pidfd], [], [], DEADLINE_S)[0])


def status(house: House) -> dict:
    done = house.ask("status", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_start_lines_say_what_runs(house: House):
    house.signal(signal.SIGTERM)
    assert house.exit_code() == 0
    lines = [line.partition("] ")[2] for line in house.log().splitlines()]
    assert lines[0].startswith("INFO: greenpool 0.")
    assert str(house.config_file) in lines[0]
    assert lines[1] == f"INFO: listening on 127.0.0.1:{house.port}"
    workers = next(line for line in lines if line.startswith("INFO: workers: "))
    assert re.match(
        r"INFO: workers: 2 \((io_uring|epoll)\); pools: 1 \(5 servers at most\); ", workers
    )
    assert "INFO: ready" in lines
    assert lines[-1] == "INFO: stopped"


def test_segment_has_room_for_more_pools_and_for_the_admin(make_house: MakeHouse):
    house = make_house("serve")
    house.configure(max_connections=100, max_concurrent_creates=3)
    house.start()
    assert house.expect("create") == ["create", "16", "64", "108"]
    assert house.expect("limits") == ["limits", "100", "3"]
    assert house.expect("define") == ["define", "app", "app", "5"]


def test_killed_worker_is_reclaimed_before_its_successor_is_born(house: House):
    os.kill(house.workers[0], signal.SIGKILL)
    assert house.expect("reclaim") == ["reclaim", "0"]
    reborn = house.expect("serving 0")
    assert int(reborn[2]) != house.workers[0]
    assert f"worker 0 (pid {house.workers[0]}) was killed by SIGKILL" in house.log()
    rows = status(house)["workers"]
    assert [row["births"] for row in rows] == [2, 1]
    assert rows[1]["pid"] == house.workers[1]


def test_all_may_get_clients_before_the_first_accepts_any(house: House):
    """The first clients used to stay with whichever worker listened first."""
    for event in ("accept 0 True", "accept 1 True", "listen"):
        house.expect(event)
    os.kill(house.workers[1], signal.SIGKILL)
    assert house.expect("accept") == ["accept", "1", "True"]
    house.expect("listen 1")


def test_successor_inherits_no_more_descriptors_than_the_first(make_house: MakeHouse):
    house = make_house("serve")
    house.start()
    first = {words[1]: words[3] for words in (house.expect("serving"), house.expect("serving"))}
    for _ in range(3):
        pid = status(house)["workers"][1]["pid"]
        os.kill(pid, signal.SIGKILL)
        # Worker 1 is forked with the link of worker 0 there: the same at every birth but the first.
        assert int(house.expect("serving 1")[3]) <= int(first["1"])


def test_worker_that_exits_with_success_unasked_is_followed(make_house: MakeHouse):
    house = make_house("serve")
    house.start()
    pids = house.expect_serving()
    os.kill(pids[1], signal.SIGTERM)
    house.expect("serving 1")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_term_lets_workers_drain(make_house: MakeHouse, number: signal.Signals):
    house = make_house("serve")
    house.configure(shutdown_timeout="7s")
    house.start()
    house.expect_serving()
    house.signal(number)
    assert house.expect("drain")[2] == "7.0"
    assert house.expect("drain")[2] == "7.0"
    assert house.exit_code() == 0
    assert "stopping: transactions have 7 s to end" in house.log()
    assert not house.pid_file.exists()
    assert not Path(f"{house.pid_file}.sock").exists()


def test_drained_worker_is_not_followed(house: House):
    house.signal(signal.SIGTERM)
    assert house.exit_code() == 0
    house.expect("close")
    assert sum(line.startswith("serving") for line in house.seen) == 2
    assert "ERROR" not in house.log()


def test_second_term_stops_at_once_and_who_resists_is_killed(make_house: MakeHouse):
    house = make_house("resist")
    house.start()
    house.expect_serving()
    house.signal(signal.SIGTERM)
    assert house.expect("drain")[2] == "10.0"
    house.expect("drain")
    house.signal(signal.SIGTERM)
    assert house.expect("drain")[2] == "0.0"
    assert house.exit_code() == 0
    assert "has not ended: killing it" in house.log()


def test_quit_stops_at_once(house: House):
    house.signal(signal.SIGQUIT)
    assert house.expect("drain")[2] == "0.0"
    assert house.exit_code() == 0


def test_workers_die_with_the_master(house: House):
    pidfds = [os.pidfd_open(pid) for pid in house.workers.values()]
    house.signal(signal.SIGKILL)
    for pidfd in pidfds:
        assert has_ended(pidfd)
        os.close(pidfd)


def test_master_started_after_a_kill_takes_the_files_over(house: House):
    house.signal(signal.SIGKILL)
    house.exit_code()
    assert house.pid_file.exists()
    house.start()
    house.expect_serving()
    assert f'replacing the pid file "{house.pid_file}"' in house.log()
    assert int(house.pid_file.read_text()) == house.pid


def test_second_master_is_refused(house: House):
    done = house.run("start", "-c", str(house.config_file))
    assert done.returncode == ExitCode.FAILED
    assert f"greenpool is already running with pid {house.pid}" in done.stderr
    house.signal(signal.SIGHUP)
    house.expect("told")  # the first one has not been disturbed


@pytest.mark.parametrize("behaviour", ["die", "refuse"])
def test_start_fails_when_workers_cannot_start(make_house: MakeHouse, behaviour: str):
    house = make_house(behaviour)
    house.start()
    assert house.exit_code() == ExitCode.FAILED
    assert "the workers cannot start" in house.log()
    assert not house.pid_file.exists()


def test_admin_commands_come_through_the_workers(make_house: MakeHouse):
    house = make_house("reload_once")
    house.start()
    house.expect("told")
    house.signal(signal.SIGTERM)
    assert house.exit_code() == 0
    house = make_house("shut_down")
    house.start()
    house.expect("drain")
    assert house.exit_code() == 0
