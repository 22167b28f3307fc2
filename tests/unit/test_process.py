"""Limits, privileges and cores, each in a process of its own: they cannot be undone."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import textwrap

import pytest

from greenpool.errors import StartupError
from greenpool.master.limits import files_needed
from greenpool.process import drop_privileges


def run(program: str, **options) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, **options
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_every_client_and_server_has_a_file():
    assert files_needed(max_connections=8192, servers=80, places=2) > 8192 + 80
    more = files_needed(max_connections=8193, servers=81, places=2)
    assert more - files_needed(max_connections=8192, servers=80, places=2) == 2


def test_soft_limit_is_raised_to_what_is_needed():
    said = run("""
        import resource
        from greenpool.master.limits import raise_file_limit
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
        limit = raise_file_limit(300)
        assert limit.is_enough, limit
        print(resource.getrlimit(resource.RLIMIT_NOFILE) == (300, hard))
    """)
    assert said == "True\n"


def test_enough_is_left_as_it_is():
    said = run("""
        import resource
        from greenpool.master.limits import raise_file_limit
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        print(raise_file_limit(10).granted == before[0])
        print(resource.getrlimit(resource.RLIMIT_NOFILE) == before)
    """)
    assert said == "True\nTrue\n"


def test_hard_limit_in_the_way_is_warned_of_with_figures():
    said = run("""
        import os, resource
        from greenpool.master.limits import raise_file_limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
        if os.geteuid() == 0:
            os.setuid(65534)  # root could raise the hard limit
        limit = raise_file_limit(300)
        print(limit.is_enough, resource.getrlimit(resource.RLIMIT_NOFILE))
    """)
    assert "False (200, 200)" in said
    assert "the limit on open files is 200, but max_connections and the pools need 300" in said


def test_own_user_is_nothing_to_become():
    name = pwd.getpwuid(os.geteuid()).pw_name
    drop_privileges(name)
    assert pwd.getpwuid(os.geteuid()).pw_name == name


def test_unknown_user_is_said_with_the_key():
    with pytest.raises(StartupError, match=r'general\.user: there is no user "no-such-user"'):
        drop_privileges("no-such-user")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_root_becomes_the_user_for_good():
    said = run("""
        import os
        from greenpool.errors import StartupError
        from greenpool.process import drop_privileges
        drop_privileges("nobody")
        print(os.getresuid(), os.getgroups() == [os.getgid()])
        try:
            os.setuid(0)
        except PermissionError:
            print("for good")
        try:
            drop_privileges("root")
        except StartupError as exc:
            print(exc)
    """)
    uid = pwd.getpwnam("nobody").pw_uid
    assert said.startswith(f"({uid}, {uid}, {uid}) True\nfor good\n")
    assert "only root can become" in said


@pytest.mark.parametrize("core_dumps", [False, True])
def test_hardened_process_gains_nothing_and_dumps_as_it_is_told(core_dumps):
    said = run(f"""
        import ctypes, pathlib, re
        from greenpool.process import harden
        harden(core_dumps={core_dumps})
        status = pathlib.Path("/proc/self/status").read_text()
        PR_GET_DUMPABLE = 3
        print(re.search(r"NoNewPrivs:\\s(.)", status)[1], ctypes.CDLL(None).prctl(PR_GET_DUMPABLE))
    """)
    assert said == f"1 {int(core_dumps)}\n"


def test_worker_is_pinned_to_a_core_it_may_use():
    said = run("""
        import os
        from greenpool.process import pin
        allowed = sorted(os.sched_getaffinity(0))
        core = pin(len(allowed) + 1)
        print(core == allowed[1 % len(allowed)], os.sched_getaffinity(0) == {core})
    """)
    assert said == "True True\n"


def test_orphan_before_the_death_signal_exits():
    said = run("""
        import os
        from greenpool.process import die_with
        child = os.fork()
        if child == 0:
            die_with(1)  # not the parent: as if it had died
            os._exit(9)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    assert said == "0\n"


def test_child_may_outlive_its_parent():
    said = run("""
        import os, signal
        from greenpool.process import die_with, outlive_parent
        news, says = os.pipe()
        middle = os.fork()
        if middle == 0:
            if os.fork() == 0:
                parent = os.getppid()
                die_with(parent)
                outlive_parent()
                os.write(says, b"ready")
                while os.getppid() == parent:
                    os.sched_yield()
                os.write(says, b", alive")
                os._exit(0)
            signal.pause()
        os.close(says)
        heard = os.read(news, 5)
        os.kill(middle, signal.SIGKILL)
        os.waitpid(middle, 0)
        while more := os.read(news, 9):
            heard += more
        print(heard.decode())
    """)
    assert said == "ready, alive\n"
