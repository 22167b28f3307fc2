"""reload, status and stop against a running master, and the daemon."""

from __future__ import annotations

import os
import select
import signal
import socket
from typing import Any

from greenpool.errors import ExitCode
from tests.unit.master.conftest import MakeHouse
from tests.unit.master.house import DEADLINE_S, House
from tests.unit.master.test_supervisor import has_ended, status


def pool(**settings: Any) -> dict[str, Any]:
    return {"users": [{"username": "app", "password": "x", "pool_size": 5, **settings}]}


def test_reload_answers_when_the_workers_have_taken_it(house: House):
    house.configure({"app": pool(pool_size=9), "new": pool()}, query_wait_timeout="1s")
    done = house.ask("reload")
    assert done.returncode == 0, done.stderr
    assert 'pool "new" added' in done.stdout
    assert "general.query_wait_timeout" in done.stdout
    assert house.expect("define app app") == ["define", "app", "app", "9"]
    # Both have been told by the time of the answer.
    house.mark("answered")
    house.expect("answered")
    assert sum(line.startswith("told") for line in house.seen) == 2


def test_hup_reloads_as_the_command_does(house: House):
    house.configure({"other": pool()})
    house.signal(signal.SIGHUP)
    house.expect("define other")
    house.expect("told")
    house.expect("told")
    assert house.expect("remove") == ["remove", "app", "app"]


def test_servers_are_renewed_when_their_address_changes(house: House):
    house.configure({"app": {"server_port": 5555, **pool()}})
    assert house.ask("reload").returncode == 0
    assert house.expect("renew") == ["renew", "app", "app"]


def test_form_of_the_log_changes_with_a_reload(house: House):
    house.configure(log_format="structured")
    assert house.ask("reload").returncode == 0
    house.signal(signal.SIGTERM)
    house.expect_log('"message": "stopping: transactions have 10 s to end"')


def test_bad_configuration_changes_nothing_and_every_error_is_said(house: House):
    house.configure({"app": pool(pool_size="many")}, nonsense=1)
    done = house.ask("reload")
    assert done.returncode == ExitCode.USAGE
    assert "general.nonsense" in done.stderr
    assert "pool_size" in done.stderr
    assert "Traceback" not in done.stderr
    result = status(house)["last_reload"]
    assert not result["ok"]
    assert len(result["errors"]) == 2
    assert "the configuration in force stays as it is" in house.log()
    house.configure()
    assert house.ask("reload").returncode == 0


def test_pools_that_do_not_fit_leave_everything_as_it_was(house: House):
    house.configure({"app": pool(pool_size=9), "first": pool(), "toomany": pool()})
    done = house.ask("reload")
    assert done.returncode == ExitCode.USAGE
    assert "a bound is reached" in done.stderr
    assert house.expect("define app app")[3] == "9"
    assert house.expect("define app app")[3] == "5"  # put back
    house.mark("answered")
    house.expect("answered")
    assert not any(line.startswith("told") for line in house.seen)


def test_key_that_takes_a_restart_is_named_and_keeps_its_value(house: House):
    port = house.port
    house.port = 1 if port != 1 else 2
    house.configure(workers=5)
    done = house.ask("reload")
    assert done.returncode == 0
    assert "not applied: general.port (takes an upgrade)" in done.stderr
    assert "not applied: general.workers (takes an upgrade)" in done.stderr
    assert house.expect("told")[2] == str(port)
    assert status(house)["last_reload"]["not_applied"] == [
        "general.port (takes an upgrade)",
        "general.workers (takes an upgrade)",
    ]


def test_more_clients_than_the_segment_has_rows_for_take_a_restart(house: House):
    house.configure(max_connections=9000)
    done = house.ask("reload")
    assert "not applied: general.max_connections above 8192 (takes a restart)" in done.stderr
    assert house.expect("limits")[1] == "8192"


def test_status_shows_workers_clients_and_the_last_reload(house: House):
    fields = status(house)
    assert fields["pid"] == house.pid
    assert fields["generation"] == 1
    assert fields["last_reload"] is None
    assert fields["listening"] == [f"127.0.0.1:{house.port}"]
    assert {row["pid"] for row in fields["workers"]} == set(house.workers.values())
    assert set(fields["servers"]) == {"in_use", "idle", "limit"}
    table = house.ask("status").stdout
    assert f"pid {house.pid}" in table
    assert str(house.workers[1]) in table


def test_stop_returns_when_everything_is_gone(house: House):
    pidfds = [os.pidfd_open(pid) for pid in house.workers.values()]
    done = house.ask("stop")
    assert done.returncode == 0, done.stderr
    assert all(select.select([fd], [], [], 0)[0] for fd in pidfds)
    assert house.exit_code() == 0
    assert house.expect("drain")[2] == "10.0"


def test_stop_now_does_not_wait_for_transactions(house: House):
    assert house.ask("stop", "--now").returncode == 0
    assert house.expect("drain")[2] == "0.0"
    assert house.exit_code() == 0


def test_commands_say_when_nothing_runs(make_house: MakeHouse):
    house = make_house("serve")
    for command in ("status", "reload", "stop"):
        done = house.ask(command)
        assert done.returncode == ExitCode.FAILED
        assert done.stderr == (
            f'greenpool: greenpool is not running (nobody answers at "{house.pid_file}.sock")\n'
        )


def test_control_socket_is_for_its_owner_alone_and_survives_nonsense(house: House):
    path = f"{house.pid_file}.sock"
    assert os.stat(path).st_mode & 0o777 == 0o600
    for request in (b"nonsense\n", b"[1]\n", b'{"command": "fly"}\n', b"x" * 5000):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE_S)
            client.connect(path)
            client.sendall(request)
            answer = client.recv(4096)
            assert answer == b"" or b'"ok": false' in answer
    assert house.ask("status").returncode == 0


def test_daemon_returns_when_it_is_ready(make_house: MakeHouse):
    house = make_house("serve")
    done = house.run("start", "--daemon", "-c", str(house.config_file))
    assert done.returncode == 0, done.stderr
    house.pid = int(house.pid_file.read_text())
    assert status(house)["phase"] == "running"
    pidfd = os.pidfd_open(house.pid)
    assert os.getsid(house.pid) != os.getsid(0)
    assert house.ask("stop").returncode == 0
    assert has_ended(pidfd)
    os.close(pidfd)


def test_daemon_says_why_it_could_not_start(make_house: MakeHouse):
    house = make_house("serve")
    with socket.create_server(("127.0.0.1", house.port)):
        done = house.run("start", "--daemon", "-c", str(house.config_file))
    assert done.returncode == ExitCode.FAILED
    assert f"cannot listen on 127.0.0.1:{house.port}: address already in use" in done.stderr
    assert not house.pid_file.exists()


def test_daemon_needs_a_pid_file(make_house: MakeHouse):
    house = make_house("serve")
    house.configure(pid_file=None)
    done = house.run("start", "--daemon", "-c", str(house.config_file))
    assert done.returncode == ExitCode.USAGE
    assert "general.pid_file" in done.stderr


def test_pid_file_option_overrides_the_configuration_also_at_reload(make_house: MakeHouse):
    house = make_house("serve")
    house.pid_file = house.directory / "other.pid"
    house.start("--pid-file", str(house.pid_file))
    house.expect_serving()
    done = house.ask("reload")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout == "nothing has changed\n"


def test_daemon_is_upgraded_as_a_daemon(make_house: MakeHouse):
    house = make_house("serve")
    assert house.run("start", "--daemon", "-c", str(house.config_file)).returncode == 0
    first = os.pidfd_open(int(house.pid_file.read_text()))
    done = house.ask("upgrade")
    assert done.returncode == 0, done.stderr
    assert has_ended(first)
    os.close(first)
    second = int(house.pid_file.read_text())
    assert done.stdout == f"upgraded: the master is pid {second}\n"
    fields = status(house)
    assert (fields["pid"], fields["generation"], fields["phase"]) == (second, 2, "running")
    assert fields["last_upgrade"]["came_from"] == fields["version"]
    assert "done, from" in house.ask("status").stdout
    assert house.ask("stop").returncode == 0
