"""Where the documentation is followed: a directory like a checkout, a PostgreSQL, free ports.

What a page says is done as it stands there, but for what would meet somebody else's greenpool: the
ports 5432, 6432 and 9127 become those of the sandbox, and the directories of a machine (`MACHINE`)
lie within it. Everything there has the secrets of the quick start.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from click.testing import CliRunner

from greenpool.cli import cli
from tests.integration.harness.ports import PortLock
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.programs import run_psql
from tests.integration.harness.tls import House
from tests.integration.harness.waiting import wait_for
from tests.integration.walk.pages import ROOT, Block
from tests.unit.auth.keys import RSA, pem

MACHINE = (
    *("/etc/greenpool", "/etc/pgbouncer", "/etc/pg_doorman"),
    *("/run/greenpool", "/var/log/greenpool"),
)
_PGDOORMAN = ROOT / "tests/unit/config/data/pg_doorman.toml"
_DEADLINE_S = 60.0
_ROLE, _PASSWORD = "shop", "its-password"
_ADMIN = "admin:change-me"
_OTHER_PROGRAMS = {"scrape_configs"}
"""Keys at the top of YAML that is Prometheus' own."""
_BASE = {
    "general": {"host": "127.0.0.1"},
    "pools": {"shop": {"users": [{"username": _ROLE, "password": _PASSWORD}]}},
}
"""What a part of a configuration is a part of."""
_PGBOUNCER = """\
[databases]
shop = host=127.0.0.1 port=5432
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 6432
auth_type = scram-sha-256
auth_file = userlist.txt
pool_mode = transaction
"""


class Sandbox:
    """Own the directory, and what is started there."""

    def __init__(self, pg: PostgreSQL, database: str, house: House) -> None:
        self._pg = pg
        self._database = database
        self._house = house
        self._locks = [PortLock(), PortLock()]
        self._base = Path(tempfile.mkdtemp(prefix="greenpool-walk-"))
        self.directory = self._base / "greenpool"
        self._staying: list[subprocess.Popen[bytes]] = []
        self._log = self._base / "log"
        own, web = (str(lock.port) for lock in self._locks)
        self._instead = {
            **{path: f"{self._base}{path}" for path in MACHINE},
            "/run/postgresql": str(pg.socket_dir),
            **{"6432": own, "9127": web, "5432": str(pg.port)},
        }
        self._names = re.compile("|".join(rf"{each}\b" for each in self._instead))
        self._furnish()

    def do(self, block: Block) -> None:
        """Do what a block says, and fail where that does not work."""
        if block.language == "yaml":
            self._check(block)
        elif block.remark == "on the admin console":
            self._ask(f"postgresql://{_ADMIN}@127.0.0.1:{self._locks[0].port}/greenpool", block)
        elif block.language == "sql":
            self._ask(self._pg.dsn(database=self._database), block)
        elif block.remark == "stays until it says":
            self._stay(block)
        else:
            self._run(block)

    def close(self) -> str:
        """Stop what was started; return what would not end by that."""
        left = ""
        for pid_file in self._base.rglob("*.pid"):
            self._shell(f"greenpool stop --pid-file {pid_file}")
        for process in self._staying:
            try:
                process.wait(_DEADLINE_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                left += f"{process.args!r} did not end\n"
        for lock in self._locks:
            lock.release()
        shutil.rmtree(self._base)
        return left

    def _furnish(self) -> None:
        self.directory.mkdir()
        for name in ("docs", "packaging", "scripts"):
            (self.directory / name).symlink_to(ROOT / name)
        (self.directory / ".venv").symlink_to(sys.prefix)
        for path in MACHINE:
            Path(self._base, path[1:]).mkdir(parents=True)
        pgbouncer = self._base / "etc/pgbouncer"
        (pgbouncer / "pgbouncer.ini").write_text(self._rewrite(_PGBOUNCER))
        (pgbouncer / "userlist.txt").write_text(f'"{_ROLE}" "{_PASSWORD}"\n')
        shutil.copy(_PGDOORMAN, self._base / "etc/pg_doorman")

    def _rewrite(self, text: str) -> str:
        return self._names.sub(lambda found: self._instead[found[0]], text)

    def _run(self, block: Block) -> None:
        done = self._shell(self._rewrite(block.text))
        assert done.returncode == 0, (
            f"{block}: {block.text}ended with {done.returncode}\n{done.stdout}{self._said()}"
        )

    def _shell(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(script),
            cwd=self.directory,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_DEADLINE_S,
        )

    @staticmethod
    def _command(script: str) -> list[str]:
        return ["sh", "-e", "-c", script]

    def _stay(self, block: Block) -> None:
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._command(self._rewrite(block.text)),
                cwd=self.directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._staying.append(process)

        def says() -> bool:
            assert process.poll() is None, f"{block} ended\n{self._said()}"
            return block.detail in self._said()

        wait_for(says, f"{block} says {block.detail!r}", _DEADLINE_S)

    def _ask(self, dsn: str, block: Block) -> None:
        psql = self._pg.program("psql")
        done = run_psql(psql, dsn, self._rewrite(block.text), "-v", "ON_ERROR_STOP=1")
        assert done.returncode == 0, f"{block}: {done.stdout}{done.stderr}"

    def _check(self, block: Block) -> None:
        text = self._rewrite(block.text)
        self._make_files(text)
        part = yaml.safe_load(text)
        if part.keys() & _OTHER_PROGRAMS:
            return
        for key in reversed(block.detail.split(".") if block.remark == "below" else []):
            part = {key: part}
        own = self._base / "etc/greenpool"
        whole = {"include": {"files": ["base.yaml", "part.yaml"]}}
        for name, content in ("base", _BASE), ("part", part), ("whole", whole):
            (own / f"{name}.yaml").touch(mode=0o600)
            (own / f"{name}.yaml").write_text(yaml.safe_dump(content))
        done = CliRunner().invoke(cli, ["check", str(own / "whole.yaml")])
        assert done.exit_code == 0, f"{block}: {done.output}{done.exception}"

    def _make_files(self, text: str) -> None:
        """Have the files that a configuration names."""
        own = self._base / "etc/greenpool"
        contents = {
            ".crt": self._house.server.certificate.read_text(),
            ".key": self._house.server.key.read_text(),
            ".pem": pem(RSA),
            ".password": "secret\n",
            "_hba.conf": "local all all scram-sha-256\n",
            "_ident.conf": "",
        }
        for name, suffix in re.findall(rf"([\w-]+?)({'|'.join(map(re.escape, contents))})\b", text):
            (own / f"{name}{suffix}").touch(mode=0o600)
            (own / f"{name}{suffix}").write_text(contents[suffix])

    def _environment(self) -> dict[str, str]:
        programs = (f"{sys.prefix}/bin", str(Path(self._pg.program("psql")).parent))
        return {
            **os.environ,
            "PATH": ":".join((*programs, os.environ["PATH"])),
            "HOME": str(self._base),
            "PGHOST": self._pg.host,
            "PGPORT": str(self._pg.port),
            "PGUSER": "postgres",
            "PGCONNECT_TIMEOUT": "20",
        }

    def _said(self) -> str:
        return self._log.read_text() if self._log.exists() else ""


@contextmanager
def shop(pg: PostgreSQL, is_there: bool) -> Iterator[str]:
    """Let PostgreSQL be used as it likes, and return a database of its own for SQL.

    `is_there`: with the role and the database of the quick start. What has been added goes.
    """
    roles, databases = _members(pg, "pg_roles", "rolname"), _members(pg, "pg_database", "datname")
    own = pg.create_database("postgres")
    if is_there:
        pg.sql(f"create role {_ROLE} login password '{_PASSWORD}'")
        pg.sql(f"create database {_ROLE} owner {_ROLE}")
    try:
        yield own
    finally:
        for name in _members(pg, "pg_database", "datname") - databases:
            pg.drop_database(name)
        for name in _members(pg, "pg_roles", "rolname") - roles:
            pg.terminate(user=name)
            pg.sql(f"drop role {name}")


def _members(pg: PostgreSQL, catalog: str, name: str) -> set[str]:
    return {row[0] for row in pg.sql(f"select {name} from {catalog}")}
