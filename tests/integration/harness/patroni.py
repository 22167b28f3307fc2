"""A real Patroni of one member, with a PostgreSQL 15 of its own; its store is Raft, in itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import yaml

from greenpool.demo.installation import find_installations, unprivileged_user
from tests.integration.harness import processes
from tests.integration.harness.ports import PortLock
from tests.integration.harness.programs import PASSWORD
from tests.integration.harness.waiting import wait_for

PROGRAM = "/usr/bin/patroni"
START_DEADLINE_S = 100.0
STOP_DEADLINE_S = 30.0

_ROLE = {"username": "postgres", "password": PASSWORD}


class Patroni:
    """Own one. It runs as the user that PostgreSQL runs as: neither runs as root."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="greenpool-patroni-"))
        self.host = "127.0.0.1"
        self._locks = [PortLock() for _ in range(3)]
        self.port, self.rest_port, self._raft_port = (lock.port for lock in self._locks)
        self._process: subprocess.Popen[bytes] | None = None
        self._postmaster_pid = 0

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.rest_port}"

    def start(self) -> None:
        """Have it make its cluster; return when PostgreSQL is the leader."""
        config = self.directory / "patroni.yml"
        config.write_text(yaml.safe_dump(self._config()))
        who: dict[str, Any] = {}
        if (user := unprivileged_user()) is not None:
            who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            for path in (self.directory, config):
                os.chown(path, user.pw_uid, user.pw_gid)
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env={"PATH": os.environ["PATH"], "HOME": str(self.directory), "LANG": "C.UTF-8"},
                start_new_session=True,
                **who,
            )
        wait_for(self._leads, "Patroni leads its cluster", START_DEADLINE_S)
        pid_file = self.directory / "data" / "postmaster.pid"
        self._postmaster_pid = int(pid_file.read_text().splitlines()[0])

    def stop(self) -> None:
        """End it, and its PostgreSQL with it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            wait_for(self._has_ended, "Patroni has ended", STOP_DEADLINE_S)
        for lock in self._locks:
            lock.release()
        shutil.rmtree(self.directory)

    def _leads(self) -> bool:
        assert self._process is not None
        log = (self.directory / "log").read_text(errors="replace")
        assert self._process.poll() is None, f"Patroni has ended\n{log}"
        try:
            with urllib.request.urlopen(f"{self.url}/primary", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _has_ended(self) -> bool:
        """Look, and be to the postmaster, who has lost its parent, what init would be."""
        assert self._process is not None
        pids = [each.pid for each in psutil.Process().children()]
        processes.reap_zombies(except_pids=[pid for pid in pids if pid != self._postmaster_pid])
        return self._process.poll() is not None

    def _config(self) -> dict[str, Any]:
        address = f"{self.host}:{self.port}"
        (found,) = [each for each in find_installations() if each.major == 15][:1]
        return {
            "scope": "greenpool",
            "name": "first",
            "restapi": {
                "listen": f"{self.host}:{self.rest_port}",
                "connect_address": f"{self.host}:{self.rest_port}",
            },
            "raft": {
                "data_dir": str(self.directory / "raft"),
                "self_addr": f"{self.host}:{self._raft_port}",
            },
            "bootstrap": {
                "dcs": {"loop_wait": 1, "ttl": 20, "retry_timeout": 5},
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}],
            },
            "postgresql": {
                "listen": address,
                "connect_address": address,
                "data_dir": str(self.directory / "data"),
                "bin_dir": str(Path(found.program("postgres")).parent),
                "authentication": {"superuser": _ROLE, "replication": _ROLE},
                "parameters": {"unix_socket_directories": str(self.directory), "fsync": "off"},
                "pg_hba": [
                    f"host all all {self.host}/32 scram-sha-256",
                    f"host replication all {self.host}/32 scram-sha-256",
                ],
            },
        }
