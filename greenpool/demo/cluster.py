"""Run a private PostgreSQL server: its directory, its settings, its postmaster.

Everything lies in one directory that the caller owns and removes:

    <directory>/data      the cluster
    <directory>/socket    its UNIX socket (a short path: sun_path holds 107 bytes)
    <directory>/log       what the server said

The postmaster is a child of this process, in a session of its own, so that a Ctrl-C meant for us
does not end it before we do.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from greenpool.demo.ending import end_process
from greenpool.demo.errors import DemoError
from greenpool.demo.installation import (
    Installation,
    copy_installation,
    reachable,
    unprivileged_user,
)
from greenpool.demo.waiting import wait_until

START_DEADLINE_S = 30.0

_SETTINGS = {
    # Nothing here outlives the process, so nothing needs to reach the disk.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "log_min_messages": "warning",
    "listen_addresses": "",
    "unix_socket_permissions": "0777",
}


class _Credentials(TypedDict, total=False):
    """Hold what subprocess needs to run a program as another user; empty: as ourselves."""

    user: int
    group: int
    extra_groups: list[int]


class Cluster:
    """Own one private server in `directory`, listening on `port` of its socket directory.

    `settings` override the built-in ones; without `listen_addresses` there is no TCP port and
    `port` only names the socket file. Methods block; none of them may run on a gevent hub.
    """

    def __init__(
        self,
        installation: Installation,
        directory: Path,
        port: int = 5432,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.port = port
        self.settings = {**_SETTINGS, **(settings or {})}
        self._user = unprivileged_user()
        self.installation = installation
        self._postmaster: subprocess.Popen[bytes] | None = None

    @property
    def socket_dir(self) -> Path:
        return self.directory / "socket"

    @property
    def data_dir(self) -> Path:
        return self.directory / "data"

    @property
    def pid(self) -> int:
        if self._postmaster is None:
            raise DemoError("the private PostgreSQL is not running")
        return self._postmaster.pid

    @property
    def is_running(self) -> bool:
        return self._postmaster is not None and self._postmaster.poll() is None

    def create(self, superuser: str, password: str, hba: str | None = None) -> None:
        """Make the directories and the cluster; `hba` None: every login needs the password.

        Raises: DemoError with what initdb printed.
        """
        self.directory.chmod(0o755)
        self._make_reachable()
        for path in (self.data_dir, self.socket_dir):
            path.mkdir(mode=0o700)
            self._give_away(path)
        self.socket_dir.chmod(0o755)
        password_file = self.directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(password + "\n")
        self._give_away(password_file)
        self._run_initdb(superuser, password_file)
        password_file.unlink()
        if hba is not None:
            (self.data_dir / "pg_hba.conf").write_text(hba)

    def start(self) -> None:
        """Start the postmaster and wait until it accepts connections.

        Raises: DemoError with the end of its log.
        """
        command = [self.installation.program("postgres"), "-D", str(self.data_dir)]
        command += ["-p", str(self.port), "-k", str(self.socket_dir)]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        with (self.directory / "log").open("ab") as log:
            self._postmaster = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
                **self._credentials(),
            )
        try:
            wait_until(self._is_ready, START_DEADLINE_S, "PostgreSQL does not accept connections")
        except DemoError as exc:
            self.stop()
            raise DemoError(f"{exc}\n{self.log_tail()}") from exc

    def stop(self) -> None:
        """End the server: disconnect everyone, then (after a deadline) without ceremony."""
        if self._postmaster is None:
            return
        end_process(self._postmaster, signal.SIGINT, signal.SIGQUIT)
        self._postmaster = None

    def psql(self, arguments: Sequence[str], user: str, password: str, database: str) -> str:
        """Run psql on the server's own socket and return what it printed, unaligned."""
        command = [self.installation.program("psql"), "--no-psqlrc", "-AtX"]
        command += ["-v", "ON_ERROR_STOP=1", "-h", str(self.socket_dir), "-p", str(self.port)]
        done = subprocess.run(
            [*command, "-U", user, "-d", database, *arguments],
            env={**os.environ, "PGPASSWORD": password},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise DemoError(f"psql failed: {done.stderr.strip()}")
        return done.stdout.strip()

    def log_tail(self, lines: int = 20) -> str:
        path = self.directory / "log"
        if not path.exists():
            return ""
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    def _make_reachable(self) -> None:
        if reachable(self.installation, self._user) is None:
            self.installation = copy_installation(self.installation, self.directory)

    def _run_initdb(self, superuser: str, password_file: Path) -> None:
        command = [self.installation.program("initdb"), "-D", str(self.data_dir), "-N"]
        command += ["-U", superuser, "-A", "scram-sha-256", f"--pwfile={password_file}"]
        command += ["-E", "UTF8", "--locale=C"]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.directory, **self._credentials()
        )
        if done.returncode != 0:
            raise DemoError(f"initdb failed: {done.stderr.strip()}")

    def _is_ready(self) -> bool:
        if self._postmaster is None or self._postmaster.poll() is not None:
            raise DemoError("PostgreSQL ended while it was starting")
        # The postmaster writes its own state into line 8 of its pid file; a file left behind by
        # one that was killed carries another pid.
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _give_away(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _credentials(self) -> _Credentials:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
