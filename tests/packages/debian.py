"""Clean Debian systems to install packages on: the same base for all, what a test does on top.

The base is made once, by debootstrap, in build/packages/debian. A `Debian` mounts it below an empty
layer, in a mount and a process namespace of its own. Its first process lives as long as its
standard input is open, and all others die with it, the mounts too: whatever becomes of the tests,
nothing stays behind. The network is the machine's, so PostgreSQL of the test is there at 127.0.0.1.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.integration.harness.programs import Done

_BUILD = Path(__file__).parents[2] / "build/packages"
_BASE = _BUILD / "debian"
_SUITE, _PYTHON = "bookworm", (3, 11)
# What a package of greenpool depends on, so that dpkg finds it there: it downloads nothing.
_INCLUDED = "libldap-2.5-0,libssl3,libstdc++6,logrotate,python3.11"
_TOOLS = ("bash", "chroot", "debootstrap", "nsenter", "rpm", "unshare")
_TOOLS_OF_BUILDS = ("chrpath", "dpkg-deb", "dpkg-shlibdeps", "rpmbuild")
_NAMESPACES = ("--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")

BASE_DEADLINE_S = 600.0
"""Of debootstrap: a minute where the mirror is near and the machine idle."""
_COMMAND_DEADLINE_S = 120.0
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
# Process 1 of the namespace: bash collects whatever loses its parent there.
_INIT = """
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root" &&
mount -t proc proc "$2/root/proc" &&
mount -t tmpfs tmpfs "$2/root/run" &&
mount --bind "$3" "$2/root/mnt" &&
echo ready && while read -r; do :; done
"""


def skip_unless_possible() -> None:
    """Skip the test where no Debian can be had, and say why."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a Debian system")
    if missing := [name for name in (*_TOOLS, *_TOOLS_OF_BUILDS) if not shutil.which(name)]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if subprocess.run(["unshare", *_NAMESPACES, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets root make no namespaces")
    if sys.version_info[:2] != _PYTHON:
        pytest.skip("the packages are made for a Python that Debian 12 does not have")


def make_base() -> Path:
    """Return the base of all systems; skip the test where Debian cannot be reached."""
    _BUILD.mkdir(parents=True, exist_ok=True)
    with (_BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _BASE.exists():
            _debootstrap()
    return _BASE


def _debootstrap() -> None:
    unfinished = _BASE.with_name("debian.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", f"--include={_INCLUDED}", _SUITE]
    log = _BUILD / "debootstrap.log"
    with log.open("w") as output:
        done = subprocess.run(
            ["timeout", str(BASE_DEADLINE_S), *command, str(unfinished)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    if done.returncode != 0:
        last = "".join(log.read_text().splitlines(keepends=True)[-3:])
        pytest.skip(f"debootstrap makes no Debian here: {last}")
    subprocess.run(["chroot", str(unfinished), "apt-get", "clean"], check=True)
    unfinished.rename(_BASE)


class Debian:
    """Own one clean system; `packages` is a directory that it sees as /mnt."""

    def __init__(self, packages: Path) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="greenpool-debian-"))
        for name in ("upper", "work", "root"):
            (self._directory / name).mkdir()
        self.root = self._directory / "root"
        paths = [str(each) for each in (_BASE, self._directory, packages)]
        self._init = subprocess.Popen(
            ["unshare", *_NAMESPACES, "bash", "-c", _INIT, "init", *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_ENVIRONMENT,
            text=True,
        )
        assert self._init.stdout is not None
        assert self._init.stdout.readline() == "ready\n", "the system could not be mounted"

    def close(self) -> None:
        """End every process and give back what was mounted."""
        self._init.communicate(timeout=_COMMAND_DEADLINE_S)
        shutil.rmtree(self._directory)

    def run(self, *command: str, text: str | None = None) -> Done:
        """Run a command in the system, to its end; `text` is its standard input."""
        return self.run_beside("chroot", str(self.root), *command, text=text)

    def run_beside(self, *command: str, text: str | None = None) -> Done:
        """Run one of the machine's own programs beside the system, which is at `root` for it."""
        of = f"/proc/{self._init.pid}/ns"
        enter = ["nsenter", f"--mount={of}/mnt", f"--pid={of}/pid_for_children", "--"]
        return subprocess.run(
            [*enter, *command],
            input=text,
            stdin=None if text is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=_ENVIRONMENT,
            timeout=_COMMAND_DEADLINE_S,
        )

    def must(self, *command: str, text: str | None = None) -> str:
        """Run a command that has to succeed; return what it printed."""
        done = self.run(*command, text=text)
        assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def has(self, path: str) -> bool:
        return self.run("test", "-e", path).returncode == 0

    def facts(self, path: str) -> str:
        """Return a file's mode, owner and group as `640 root greenpool`."""
        return self.must("stat", "--format=%a %U %G", path).strip()
