"""A real PostgreSQL server of a given major version, for the tests of one session.

It listens on a UNIX socket and on a port of 127.0.0.1, and holds these roles, whose password is
`secret`; they differ in what pg_hba.conf asks of them:

    postgres         superuser, trust        the harness's own
    app              scram-sha-256           the default user of the pools
    app_trust        trust
    app_password     password (cleartext)
    app_md5          md5

and two databases: `app`, owned by app, and `bench`, with pgbench's tables at scale 1.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql as composed
from psycopg.rows import class_row

from greenpool.demo.cluster import Cluster
from greenpool.demo.installation import find_installations
from tests.integration.harness.ports import PortLock
from tests.integration.harness.programs import PASSWORD, Done, run_pgbench, run_psql
from tests.integration.harness.waiting import wait_for

ROLES = ("app", "app_trust", "app_password", "app_md5")
MAJORS = (15, 18)

_OWN_HBA = """\
local all postgres trust
host all postgres 127.0.0.1/32 trust
"""
_HBA = f"""\
{_OWN_HBA}\
local all app_trust trust
host all app_trust 127.0.0.1/32 trust
local all app_password password
host all app_password 127.0.0.1/32 password
local all app_md5 md5
host all app_md5 127.0.0.1/32 md5
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
"""
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "autovacuum": "off",
    "log_min_messages": "error",
}
_BACKENDS = """
    select pid, usename, datname, state, application_name from pg_stat_activity
    where backend_type = 'client backend' and pid <> pg_backend_pid()
      and (%(user)s::text is null or usename = %(user)s)
      and (%(database)s::text is null or datname = %(database)s)
    order by pid
"""


@dataclass(frozen=True, slots=True)
class Backend:
    """Hold one row of pg_stat_activity."""

    pid: int
    usename: str
    datname: str
    state: str | None
    application_name: str


class PostgreSQL:
    """Own one server. `create` it once, then `start` and `stop` it as a test likes."""

    def __init__(self, major: int) -> None:
        found = [each for each in find_installations() if each.major == major]
        if not found:
            raise RuntimeError(f"PostgreSQL {major} is not installed: run scripts/setup")
        self.major = major
        self.directory = Path(tempfile.mkdtemp(prefix=f"greenpool-pg{major}-"))
        self._port_lock = PortLock()
        self.port = self._port_lock.port
        self.host = "127.0.0.1"
        self._cluster = Cluster(found[0], self.directory, self.port, _SETTINGS)
        self._markers = (f"marker_{number}" for number in itertools.count(1))
        self._names = (f"scratch_{number}" for number in itertools.count(1))

    @property
    def socket_dir(self) -> Path:
        return self._cluster.socket_dir

    @property
    def data_dir(self) -> Path:
        return self._cluster.data_dir

    @property
    def pid(self) -> int:
        return self._cluster.pid

    @property
    def is_running(self) -> bool:
        return self._cluster.is_running

    def create(self) -> None:
        """Make the cluster, start it, add the roles and databases of the module's head."""
        self._cluster.create("postgres", PASSWORD, _HBA)
        self.start()
        for role in ROLES:
            encryption = "md5" if role == "app_md5" else "scram-sha-256"
            self.sql(
                f"set password_encryption = '{encryption}'; create role {role} login "
                f"password '{PASSWORD}'"
            )
        self.sql("grant pg_read_all_stats, pg_signal_backend to app")
        for name in ("app", "bench"):
            self.sql(f"create database {name} owner app")
        self.sql("grant all on schema public to public", database="app")
        self.pgbench("-i", "-q", "-s", "1", user="app", database="bench")
        self.sql(
            "grant select, update, insert, delete on all tables in schema public to public",
            database="bench",
        )

    def start(self) -> None:
        self._cluster.start()

    def stop(self) -> None:
        self._cluster.stop()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.directory)
        self._port_lock.release()

    def dsn(self, user: str = "postgres", database: str = "postgres") -> str:
        """Return a URL of the server itself, past any pooler."""
        return f"postgresql://{user}:{PASSWORD}@{self.host}:{self.port}/{database}"

    def connect(
        self, user: str = "postgres", database: str = "postgres"
    ) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.dsn(user, database), autocommit=True, connect_timeout=10)

    def sql(
        self, query: str, params: Sequence[object] | None = None, database: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        """Run one query as the superuser and return its rows; [] when it returns none."""
        with self.connect(database=database) as connection:
            cursor = connection.execute(query.encode(), params)
            return cursor.fetchall() if cursor.description else []

    def backends(self, user: str | None = None, database: str | None = None) -> list[Backend]:
        """List the client backends, without the one that looks."""
        with self.connect() as connection, connection.cursor(row_factory=class_row(Backend)) as cur:
            return cur.execute(_BACKENDS, {"user": user, "database": database}).fetchall()

    def terminate(
        self, user: str | None = None, database: str | None = None, pid: int | None = None
    ) -> int:
        """End the backends of a user, of a database, or one by its pid; return how many.

        Waits up to five seconds until each of them is gone.
        """
        pids = [each.pid for each in self.backends(user, database) if pid in (None, each.pid)]
        rows = self.sql(
            "select pg_terminate_backend(pid, 5000) from unnest(%s::int[]) as pid", [pids]
        )
        return sum(1 for (gone,) in rows if gone)

    def create_database(self, owner: str = "app") -> str:
        """Create an empty database of its own for a test and return its name."""
        name = next(self._names)
        self.sql(f"create database {name} owner {owner}")
        return name

    def drop_database(self, name: str) -> None:
        """Drop it, with whoever is still connected."""
        with self.connect() as connection:
            connection.execute(
                composed.SQL("drop database {} with (force)").format(composed.Identifier(name))
            )

    def program(self, name: str) -> str:
        return self._cluster.installation.program(name)

    def psql(self, script: str, *arguments: str, user: str = "app", database: str = "app") -> Done:
        """Feed a script to a psql that is connected to the server itself."""
        return run_psql(self.program("psql"), self.dsn(user, database), script, *arguments)

    def pgbench(self, *arguments: str, user: str = "app", database: str = "bench") -> str:
        """Run pgbench against the server itself and return what it printed."""
        address = (self.host, self.port)
        return run_pgbench(self.program("pgbench"), address, user, database, *arguments)

    def set_hba(self, rules: str | None = None, ident: str = "") -> None:
        """Put other rules behind the harness's own; None puts back those it began with.

        Returns when new connections meet them.
        """
        marker = next(self._markers)
        text = _HBA if rules is None else _OWN_HBA + rules
        data = self._cluster.data_dir
        (data / "pg_ident.conf").write_text(ident)
        (data / "pg_hba.conf").write_text(f"local all {marker} reject\n{text}")
        self.sql("select pg_reload_conf()")
        wait_for(lambda: self._rejects(marker), "PostgreSQL has read pg_hba.conf")

    def _rejects(self, user: str) -> bool:
        try:
            psycopg.connect(host=str(self.socket_dir), port=self.port, user=user, dbname="app")
        except psycopg.OperationalError as exc:
            return "pg_hba.conf rejects" in str(exc)
        raise AssertionError(f"{user} was let in")

    def log_tail(self) -> str:
        return self._cluster.log_tail()
