"""A greenpool that was installed from a package: configured, started, asked and connected to."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import yaml

from tests.integration.harness.ports import PortLock
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.programs import PASSWORD, Done
from tests.integration.harness.waiting import wait_for
from tests.packages.debian import Debian

CONFIG = "/etc/greenpool/greenpool.yaml"
PID_FILE = "/run/greenpool/greenpool.pid"
LOG = "/var/log/greenpool/greenpool.log"

_SELF = "select pg_backend_pid()"
Connection = psycopg.Connection[tuple[Any, ...]]


class Installed:
    """Look after the greenpool of one system, in front of `pg`."""

    def __init__(self, debian: Debian, pg: PostgreSQL) -> None:
        self.debian = debian
        self.pg = pg
        self._port_lock = PortLock()

    def release(self) -> None:
        self._port_lock.release()

    def configure(self) -> None:
        """Do what an administrator does: change the configuration that the package brought."""
        config = yaml.safe_load(self.debian.must("cat", CONFIG))
        config["general"]["port"] = self._port_lock.port
        config["pools"] = {
            "app": {
                "server_host": self.pg.host,
                "server_port": self.pg.port,
                "users": [{"username": "app", "password": PASSWORD, "pool_size": 4}],
            }
        }
        self.debian.must("tee", CONFIG, text=yaml.safe_dump(config))

    def start(self) -> None:
        done = self.debian.run("sh", "-c", f"greenpool start --daemon 2>>{LOG}")
        assert done.returncode == 0, self.log()

    def command(self, *arguments: str) -> Done:
        return self.debian.run("greenpool", *arguments)

    def status(self) -> dict[str, Any]:
        """Ask for its status; {} when it does not run."""
        done = self.command("status", "--json", "--pid-file", PID_FILE)
        fields: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        return fields

    def processes(self) -> list[str]:
        """List the processes of its account, by their ids in the system."""
        done = self.debian.run("sh", "-c", "find /proc -maxdepth 1 -user greenpool -name '[0-9]*'")
        return sorted(done.stdout.split())

    def wait_until_alone(self) -> None:
        """Wait until the generation that serves is the only one: master, workers, no one else."""
        expected = len(self.status()["workers"]) + 1
        wait_for(lambda: len(self.processes()) == expected, "one generation is there", 60.0)

    def connect(self, **options: Any) -> Connection:
        return psycopg.connect(
            host="127.0.0.1",
            port=self._port_lock.port,
            user="app",
            password=PASSWORD,
            dbname="app",
            connect_timeout=10,
            **options,
        )

    def log(self) -> str:
        return self.debian.run("cat", LOG).stdout


def begin(client: Connection) -> object:
    """Have the client write in a transaction; return its backend, for `end`."""
    client.execute("create temporary table if not exists notes (id int) on commit delete rows")
    client.execute("insert into notes values (1)")
    return client.execute(_SELF).fetchone()


def end(client: Connection, backend: object) -> None:
    """See that nothing has happened to the transaction of `begin`, and end it."""
    assert client.execute("select count(*) from notes").fetchone() == (1,)
    assert client.execute(_SELF).fetchone() == backend
    client.commit()
