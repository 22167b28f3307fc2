"""A master under test: start it, read what happens in it, end it. See `program.py`."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

DEADLINE_S = 60.0  # an upgrade is two starts of the interpreter, beside whatever else runs
_ROOT = Path(__file__).parents[3]


class House:
    """Own one `greenpool start` with trivial workers, in `directory`."""

    def __init__(self, directory: Path, port: int, behaviour: str = "serve") -> None:
        self.directory = directory
        self.port = port
        self.behaviour = behaviour
        self.pid_file = directory / "greenpool.pid"
        self.config_file = directory / "greenpool.yaml"
        self.log_file = directory / "log"
        self.pid = 0
        self.workers: dict[int, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._read_fd, self._write_fd = os.pipe()
        self._unread = b""
        self.seen: list[str] = []

    # -- its life ---------------------------------------------------------------------------

    def configure(
        self, pools: dict[str, Any] | None = None, web: dict[str, Any] | None = None, **general: Any
    ) -> None:
        user = {"username": "app", "password": "x", "pool_size": 5}
        settings = {
            "general": {
                "host": "127.0.0.1",
                "port": self.port,
                "workers": 2,
                "pid_file": str(self.pid_file),
                **general,
            },
            "web": web or {},
            "pools": pools or {"app": {"users": [user]}},
        }
        self.config_file.write_text(yaml.safe_dump(settings))

    def start(self, *options: str, first: str = "", fds: Sequence[int] = (), **env: str) -> None:
        """Start it; `first` is what a Python program does before, in the same process."""
        run = f"import os, sys\n{first}\nos.execv(sys.argv[1], sys.argv[1:])"
        before = [sys.executable, "-c", run] if first else []
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*before, *self._command("start", "-c", str(self.config_file), *options)],
                stdin=subprocess.DEVNULL,
                stderr=log,
                cwd=_ROOT,
                env={**self._environment(), **env},
                pass_fds=[self._write_fd, *fds],
            )
        self.pid = self._process.pid

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def exit_code(self) -> int:
        assert self._process is not None
        return self._process.wait(DEADLINE_S)

    def close(self) -> None:
        """End it whatever state it is in; workers die with it."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(DEADLINE_S)
        if self.pid_file.exists():  # of a daemon, or a later generation, in a test that failed
            with suppress(ProcessLookupError):
                os.kill(int(self.pid_file.read_text()), signal.SIGKILL)
        os.close(self._read_fd)
        os.close(self._write_fd)

    # -- what happens in it -------------------------------------------------------------------

    def expect(self, beginning: str) -> list[str]:
        """Return the words of the next event that begins like this; those before are passed."""
        end = time.monotonic() + DEADLINE_S
        while True:
            line = self._next_line(end, beginning)
            self.seen.append(line)
            if line == beginning or line.startswith(beginning + " "):
                return line.split()

    def expect_serving(self, workers: int = 2) -> dict[int, int]:
        """Return the pids of the workers, once all of them serve and the master knows."""
        words = [self.expect("serving") for _ in range(workers)]
        self.expect_log("INFO: ready")
        return {int(each[1]): int(each[2]) for each in words}

    def mark(self, event: str) -> None:
        """Put an event of our own among those that have happened by now."""
        os.write(self._write_fd, f"{event}\n".encode())

    def expect_log(self, text: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while text not in self.log():
            assert time.monotonic() < end, f'no "{text}" in\n{self.log()}'
            select.select([], [], [], 0.01)

    def log(self) -> str:
        return self.log_file.read_text()

    # -- its commands ---------------------------------------------------------------------------

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(*arguments),
            cwd=_ROOT,
            env=self._environment(),
            pass_fds=[self._write_fd],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )

    def ask(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run(command, "--pid-file", str(self.pid_file), *options)

    def _next_line(self, end: float, wanted: str) -> str:
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._read_fd], [], [], max(0, end - time.monotonic()))
            assert ready, f'no "{wanted}" after {self.seen}\n{self.log()}'
            self._unread += os.read(self._read_fd, 65536)
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "tests.unit.master.program", *arguments]

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "GREENPOOL_EVENTS": str(self._write_fd),
            "GREENPOOL_BEHAVIOUR": self.behaviour,
        }
