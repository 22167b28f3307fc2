"""Who is compared: the server without a pooler, and poolers as processes in the foreground.

How each pooler is configured is in `configs.py`.
"""

from __future__ import annotations

import pwd
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks import cpu
from benchmarks.errors import BenchError
from benchmarks.plan import DIRECT_CLIENTS_MAX, Case, Mode
from greenpool.demo.ending import end_process
from greenpool.demo.errors import DemoError
from greenpool.demo.pooler import answers
from greenpool.demo.waiting import wait_until

START_DEADLINE_S = 30.0


class Contender(Protocol):
    """What a run needs to know of whom it measures."""

    @property
    def name(self) -> str: ...
    @property
    def port(self) -> int: ...
    def takes_part(self, case: Case) -> bool: ...
    def usage(self) -> cpu.Usage: ...
    def log_tail(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold what a pooler is started with; `user` None: as ourselves."""

    name: str
    command: tuple[str, ...]
    directory: Path
    port: int
    user: pwd.struct_passwd | None = None
    modes: frozenset[Mode] = frozenset(Mode)
    """What it can do: some know no prepared statements in transaction mode."""
    encrypts: bool = False
    """Whether it has been given the certificate."""


class Pooler:
    """Own one pooler in the foreground: its master and all processes below it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._log = settings.directory / f"{settings.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def port(self) -> int:
        return self.settings.port

    @property
    def pid(self) -> int:
        if self._process is None:
            raise BenchError(f"{self.name} is not running")
        return self._process.pid

    def takes_part(self, case: Case) -> bool:
        if case.scenario.is_encrypted and not self.settings.encrypts:
            return False
        return case.mode in self.settings.modes

    def start(self) -> None:
        """Start it and wait until it answers. Raises: BenchError with its log."""
        user = self.settings.user
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.settings.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.settings.directory,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                start_new_session=True,
            )
        try:
            wait_until(self._answers, START_DEADLINE_S, f"{self.name} does not answer")
        except DemoError as exc:
            raise BenchError(f"{exc}\n{self.log_tail()}") from exc

    def stop(self) -> None:
        """End it: in order, at once, by force."""
        if self._process is None:
            return
        end_process(self._process, signal.SIGTERM, signal.SIGQUIT)
        self._process = None

    def usage(self) -> cpu.Usage:
        return cpu.usage(self.pid)

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise BenchError(f"{self.name} ended while it was starting\n{self.log_tail()}")
        return answers(("127.0.0.1", self.port))


class Direct:
    """Stand for the server without a pooler: its port, and no process to account for."""

    name = "direct"

    def __init__(self, port: int) -> None:
        self.port = port

    def takes_part(self, case: Case) -> bool:
        """Without TLS only: its key would have to be its own user's."""
        return case.clients <= DIRECT_CLIENTS_MAX and not case.scenario.is_encrypted

    def usage(self) -> cpu.Usage:
        return {}

    def log_tail(self) -> str:
        return ""
