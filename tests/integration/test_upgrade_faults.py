"""Upgrades that go wrong, each made so from outside: whoever is left serves, and just one does."""

from __future__ import annotations

import os
import signal
import textwrap
from typing import Any

import psutil
import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.installed import GOOD, Installed, status
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.postgres import MAJORS
from tests.integration.harness.processes import halted
from tests.integration.harness.waiting import wait_for

# Nothing here depends on the version of PostgreSQL.
pytestmark = pytest.mark.parametrize("_server", MAJORS[-1:], indirect=True)

SELF = "select pg_backend_pid()"

CRASHES = "import sys\nif 'start' in sys.argv: sys.exit(7)\n" + GOOD
CANNOT_START = "import nonsense\n"
HANGS = (
    "import sys, signal\n"
    "if 'start' in sys.argv: print('it hangs', file=sys.stderr, flush=True), signal.pause()\n"
) + GOOD
WORKERS_CRASH = (
    "from greenpool.master import main as master\nmaster.run_worker = lambda context: 1\n"
) + GOOD
OTHER_COMMON = (
    "from greenpool.segment import Segment\n"
    "from greenpool.errors import EngineError\n"
    "def attach(*fds): raise EngineError('what is common has form 999')\n"
    "Segment.attach = attach\n"
) + GOOD
OTHER_FORM = "from greenpool.master import inheritance\ninheritance.VERSION = 999\n" + GOOD
# The new master stops itself where it would say that it is ready, or that it has taken over.
STOPS_AT = textwrap.dedent(
    """
    import os, signal
    from greenpool.master.predecessor import Predecessor
    def {word}(self, *_):
        print("it stops", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
    Predecessor.{word} = {word}
    """
)


@pytest.fixture
def installed(make_pooler: MakePooler) -> Installed:
    return make_pooler(2, kind=Installed)  # type: ignore[return-value]


def new_master(pooler: Pooler) -> psutil.Process | None:
    """Find the master that is being started, by what it runs."""
    workers = status_workers(pooler)
    for child in psutil.Process(pooler.master_pid).children():
        if child.pid not in workers and "start" in child.cmdline():
            return child
    return None


def status_workers(pooler: Pooler) -> set[int]:
    return {row["pid"] for row in status(pooler)["workers"]}


def check_that_nothing_has_changed(pooler: Pooler, before: dict[str, Any]) -> None:
    """See that the same generation serves, alone, and can still be upgraded."""
    now = status(pooler)
    for key in ("pid", "generation", "listening", "servers"):
        assert now[key] == before[key], key
    assert [row["pid"] for row in now["workers"]] == [row["pid"] for row in before["workers"]]
    assert len(psutil.Process(pooler.master_pid).children()) == len(now["workers"])
    assert psutil.Process(pooler.master_pid).num_fds() == before["fds"]


def snapshot(pooler: Pooler) -> dict[str, Any]:
    return {**status(pooler), "fds": psutil.Process(pooler.master_pid).num_fds()}


def check_that_it_can_be_upgraded(pooler: Installed) -> None:
    pooler.install(GOOD)
    done = pooler.upgrade()
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (CRASHES, "the new master has ended"),
        (CANNOT_START, "the installed version cannot be run: ModuleNotFoundError"),
        (WORKERS_CRASH, "the workers cannot start"),
        (OTHER_COMMON, "what is common has form 999"),
        (OTHER_FORM, "the new master has ended"),
    ],
    ids=["crashes", "cannot-start", "workers-crash", "other-common", "other-form"],
)
def test_program_that_fails_leaves_everything_as_it_was(
    installed: Installed, text: str, why: str
) -> None:
    with installed.connect() as stays:
        own = stays.execute(SELF).fetchone()
        before = snapshot(installed)
        installed.install(text)
        done = installed.upgrade()
        assert done.returncode == 1
        assert f"not upgraded: {why}" in done.stderr
        assert f"upgrade failed: {why}" in installed.log()
        check_that_nothing_has_changed(installed, before)
        assert status(installed)["last_upgrade"]["why"].startswith(why)
        assert stays.execute(SELF).fetchone() == own
    check_that_it_can_be_upgraded(installed)


def test_wrong_configuration_is_told_completely(installed: Installed) -> None:
    before = snapshot(installed)
    done = installed.upgrade(query_wait_timeout="soon", nonsense=1)
    assert done.returncode == 2
    assert "general.query_wait_timeout" in done.stderr
    assert "general.nonsense" in done.stderr
    assert "upgrade failed: the installed version refuses the configuration" in installed.log()
    check_that_nothing_has_changed(installed, before)


def test_program_that_is_gone(installed: Installed) -> None:
    before = snapshot(installed)
    installed.program.unlink()
    done = installed.upgrade()
    assert done.returncode == 2  # the interpreter's status, by chance that of a wrong configuration
    assert "No such file or directory" in done.stderr
    check_that_nothing_has_changed(installed, before)


def test_pools_of_an_aborted_upgrade_are_gone(installed: Installed) -> None:
    before = snapshot(installed)
    installed.install(WORKERS_CRASH)
    done = installed.upgrade(pools={"app": {"pool_mode": "session"}, "other": {}})
    assert done.returncode == 1
    check_that_nothing_has_changed(installed, before)
    assert {row["database"] for row in installed.admin("show pools")} == {"app", "bench"}
    assert {row["pool_mode"] for row in installed.admin("show pools")} == {"transaction"}


def test_program_that_hangs_is_killed_when_the_time_is_over(installed: Installed) -> None:
    before = snapshot(installed)
    installed.install(HANGS)
    done = installed.upgrade("--timeout", "10")
    assert done.returncode == 1
    assert "it hangs" in installed.log()
    assert "not upgraded: the time for it is over" in done.stderr
    check_that_nothing_has_changed(installed, before)
    check_that_it_can_be_upgraded(installed)


# Between the two the new master has five seconds of its own.
@pytest.mark.parametrize(("word", "timeout_s"), [("ready", "10"), ("taken", "60")])
def test_master_that_stops_just_before_it_says(
    installed: Installed, word: str, timeout_s: str
) -> None:
    """Until it has said "taken" the old one takes everything back, its names too."""
    with installed.connect() as stays:
        own = stays.execute(SELF).fetchone()
        before = snapshot(installed)
        installed.install(STOPS_AT.format(word=word) + GOOD)
        done = installed.upgrade("--timeout", timeout_s)
        assert done.returncode == 1, done.stderr
        assert "it stops" in installed.log()
        assert "not upgraded: the time for it is over" in done.stderr
        check_that_nothing_has_changed(installed, before)
        assert stays.execute(SELF).fetchone() == own
    assert int((installed.directory / "greenpool.pid").read_text()) == installed.master_pid
    check_that_it_can_be_upgraded(installed)


def test_second_upgrade_is_refused_while_one_runs(installed: Installed) -> None:
    installed.install(HANGS)
    os.kill(installed.master_pid, signal.SIGUSR2)
    wait_for(lambda: "it hangs" in installed.log(), "the first one is at it")
    done = installed.upgrade()
    assert done.returncode == 1
    assert "not upgraded: an upgrade is under way already" in done.stderr
    hanging = new_master(installed)
    assert hanging is not None
    with installed.log_contains("upgrade failed: the new master has ended"):
        hanging.kill()
    check_that_it_can_be_upgraded(installed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_stop_in_the_middle_ends_both(installed: Installed, number: signal.Signals) -> None:
    installed.install(HANGS)
    os.kill(installed.master_pid, signal.SIGUSR2)
    wait_for(lambda: "it hangs" in installed.log(), "the new master is there")
    hanging = new_master(installed)
    assert hanging is not None
    assert installed.stop(number) == 0
    wait_for(lambda: not hanging.is_running(), "the new master has ended")
    assert "upgrade failed: greenpool is stopping" in installed.log()


def test_new_generation_killed_while_the_old_one_hands_over(installed: Installed) -> None:
    """The old one comes back, with new workers: its own have stopped to listen."""
    with installed.connect(autocommit=False) as stays:
        own = stays.execute(SELF).fetchone()
        old = installed.master_pid
        with halted(*installed.worker_pids()):  # they have handed nothing over
            assert installed.upgrade().returncode == 0
            with installed.log_contains("this generation comes back"):
                os.kill(installed.master_pid, signal.SIGKILL)
        installed.follow()
        assert installed.master_pid == old
        with installed.connect() as newcomer:
            newcomer.execute(SELF)
        assert stays.execute(SELF).fetchone() == own
        stays.commit()
        assert status(installed)["phase"] == "running"
        check_that_it_can_be_upgraded(installed)
    wait_for(lambda: not installed.elders(), "the old generation has ended")


def test_limit_on_descriptors_too_tight(installed: Installed) -> None:
    before = snapshot(installed)
    master = psutil.Process(installed.master_pid)
    limits = master.rlimit(psutil.RLIMIT_NOFILE)
    master.rlimit(psutil.RLIMIT_NOFILE, (before["fds"] + 3, limits[1]))
    done = installed.upgrade()
    assert done.returncode == 1
    assert "not upgraded: " in done.stderr
    assert "Too many open files" in done.stderr
    assert "upgrade failed: " in installed.log()
    master.rlimit(psutil.RLIMIT_NOFILE, limits)
    check_that_nothing_has_changed(installed, before)
    check_that_it_can_be_upgraded(installed)
