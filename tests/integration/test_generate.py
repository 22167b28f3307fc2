"""`greenpool generate` at real PostgreSQL: what it writes is loaded, served and kept up to date."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import yaml

from greenpool.config import load
from greenpool.generate.install import include_of
from tests.integration.conftest import MakePooler
from tests.integration.harness.patroni import Patroni
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.programs import PASSWORD, Done
from tests.integration.harness.tls import House, encrypted

ROOT = Path(__file__).parents[2]
CRON = ROOT / "packaging/cron.d/greenpool"
PG15 = pytest.mark.parametrize("_server", [15], indirect=True, ids=["pg15"])


def generate(pg: PostgreSQL, *arguments: str, user: str = "postgres") -> Done:
    return run_generate("--host", pg.host, "--port", str(pg.port), "--user", user, *arguments)


def run_generate(*arguments: str) -> Done:
    """Run it from no particular directory, with nothing in the environment but the password."""
    return subprocess.run(
        [sys.executable, "-m", "greenpool", "generate", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PGPASSWORD": PASSWORD},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=50,
    )


def identity(path: Path) -> tuple[int, int]:
    """Return what tells a file from one that was put in its place."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


class Generated(Pooler):
    """A greenpool whose configuration is generated; what the tests need is in the included file."""

    def write_config(self) -> None:
        general = {"general": self._config()["general"]}
        include_of(self.config_path).write_text(yaml.safe_dump(general))
        done = generate(self.pg, "--output", str(self.config_path))
        assert done.returncode == 0, done.stderr


@contextmanager
def role(pg: PostgreSQL, name: str) -> Iterator[None]:
    """Have PostgreSQL know another role, with the usual password."""
    pg.sql(f"create role {name} login password '{PASSWORD}'")
    try:
        yield
    finally:
        pg.terminate(user=name)
        pg.sql(f"drop role {name}")


def test_generated_file_is_served(pg: PostgreSQL, make_pooler: MakePooler) -> None:
    pooler = make_pooler(1, kind=Generated)
    for user in ("app", "app_md5"):
        with pooler.connect(user=user) as connection:
            assert connection.execute("select current_user").fetchone() == (user,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(pooler.dsn().replace(PASSWORD, "wrong"))
    config = load(pooler.config_path, {})
    sizes = [user.pool_size for pool in config.pools.values() for user in pool.users.values()]
    assert sum(sizes) == 200 - 3 - 20  # max_connections, superusers, a tenth for others
    assert config.pools["app"].users["app"].pool_size == 40


def test_same_database_gives_the_same_bytes(pg: PostgreSQL, tmp_path: Path) -> None:
    path = tmp_path / "greenpool.yaml"
    assert generate(pg, "--output", str(path)).stdout == f"{path}: written\n"
    before, text = identity(path), path.read_bytes()
    again = generate(pg, "--output", str(path))
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert identity(path) == before
    pg.stop()
    pg.start()
    path.unlink()
    assert generate(pg, "--output", str(path)).returncode == 0
    assert path.read_bytes() == text


@PG15
def test_cron_entry_brings_a_new_role_in_and_says_nothing_else(
    pg: PostgreSQL, make_pooler: MakePooler
) -> None:
    pooler = make_pooler(1, kind=Generated)
    include = include_of(pooler.config_path).read_bytes()
    assert run_cron_entry(pooler).stdout == ""  # no generate.env: nothing to do
    environ = {"PGHOST": pg.host, "PGPORT": pg.port, "PGUSER": "postgres"}
    environ["GREENPOOL_GENERATE_EXCLUDE_DATABASE"] = "bench"
    lines = [f"{name}={value}\n" for name, value in environ.items()]
    (pooler.directory / "generate.env").write_text("".join(lines))
    with role(pg, "newcomer"):
        written, reloaded = run_cron_entry(pooler).stdout.splitlines()
        assert written == f"{pooler.config_path}: written"
        assert reloaded.startswith("reloaded: ")
        with pooler.connect(user="newcomer") as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert run_cron_entry(pooler).stdout == ""
        assert "bench" not in load(pooler.config_path, {}).pools
    assert include_of(pooler.config_path).read_bytes() == include
    assert "reloaded" in run_cron_entry(pooler).stdout
    with pytest.raises(psycopg.OperationalError, match="newcomer"):
        pooler.connect(user="newcomer")


def run_cron_entry(pooler: Pooler) -> Done:
    """Run the entry as cron does, with the test's files in the place of the machine's."""
    lines = [line for line in CRON.read_text().splitlines() if line and line[0] not in "#SP"]
    assert len(lines) == 1
    *_, user, command = lines[0].split(maxsplit=6)
    assert user == "greenpool"
    assert "%" not in command  # which cron would take for the end of a line
    program = Path(sys.executable).with_name("greenpool")
    for name, mine in {
        "/usr/bin/greenpool": str(program),
        "/etc/greenpool/": f"{pooler.directory}/",
        "/run/greenpool/": f"{pooler.directory}/",
    }.items():
        assert name in command
        command = command.replace(name, mine)
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env={"PATH": "/usr/bin:/bin", "HOME": str(pooler.directory), "LANG": "C"},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.returncode, done.stderr.replace(LEFT_OUT, "")) == (0, "")
    return done


LEFT_OUT = 'left out: role "postgres": a superuser (--superusers takes them in)\n'


@PG15
def test_configuration_that_greenpool_cannot_use_stays_out(
    pg: PostgreSQL, make_pooler: MakePooler
) -> None:
    pooler = make_pooler(1, kind=Generated)
    before = pooler.config_path.read_bytes()
    include_of(pooler.config_path).write_text("general: {prot: 1}\n")
    with role(pg, "newcomer"):
        done = generate(pg, "--output", str(pooler.config_path), "--if-changed-reload")
    assert done.returncode == 2
    assert 'did you mean "port"?' in done.stderr
    assert pooler.config_path.read_bytes() == before


@PG15
def test_greenpool_that_does_not_run_is_no_error(pg: PostgreSQL, tmp_path: Path) -> None:
    path = tmp_path / "greenpool.yaml"
    options = "--output", str(path), "--if-changed-reload", "--pid-file", str(tmp_path / "pid")
    done = generate(pg, *options)
    assert done.returncode == 0
    assert "not reloaded: greenpool is not running" in done.stdout
    assert generate(pg, *options).stdout == ""


@PG15
def test_secrets_are_read_only_where_that_is_permitted(pg: PostgreSQL, tmp_path: Path) -> None:
    poor = generate(pg, user="app")
    assert poor.returncode == 0
    assert "SCRAM-SHA-256$" not in poor.stdout
    assert 'role "app": no password is known' in poor.stdout
    userlist = tmp_path / "userlist.txt"
    userlist.write_text(f'"app" "{PASSWORD}"\n')
    assert f'password: "{PASSWORD}"' in generate(pg, "--userlist", str(userlist), user="app").stdout
    pg.sql("grant select on pg_authid to app")
    try:
        assert generate(pg, user="app").stdout == generate(pg).stdout
    finally:
        pg.sql("revoke select on pg_authid from app")


@PG15
def test_limits_of_roles_and_databases_are_kept(pg: PostgreSQL, database: str) -> None:
    pg.sql(f"alter database {database} connection limit 7")
    with role(pg, "few"):
        pg.sql("alter role few connection limit 5 valid until 'infinity'")
        text = generate(pg, "--exclude-database", "bench").stdout
    pools = yaml.safe_load(text)["pools"]
    of_role = [
        user["pool_size"]
        for pool in pools.values()
        for user in pool["users"]
        if user["username"] == "few"
    ]
    assert sum(of_role) == 5 or (len(of_role) > 5 and set(of_role) == {1})
    assert sum(user["pool_size"] for user in pools[database]["users"]) == 7
    assert "bench" not in pools
    with role(pg, "few"):
        pg.sql("alter role few valid until '2001-01-01'")
        assert '# - role "few": its password has expired' in generate(pg).stdout


@PG15
def test_postgres_is_asked_with_tls(pg: PostgreSQL, house: House) -> None:
    hba = "hostssl all app 127.0.0.1/32 scram-sha-256\nhost all app 127.0.0.1/32 reject\n"
    with encrypted(pg, house.server, hba):
        assert generate(pg, user="app").returncode == 0  # allow, as servers are met
        refused = generate(pg, "--server-tls-mode", "disable", user="app")
        assert (refused.returncode, "pg_hba.conf rejects" in refused.stderr) == (1, True)
        ca = str(house.authority.certificate)
        options = "--server-tls-mode", "verify-full", "--server-tls-ca-cert", ca
        done = generate(pg, *options, user="app")
        assert done.returncode == 0, done.stderr
        assert 'server_tls_mode: "verify-full"' in done.stdout
        assert f'server_tls_ca_cert: "{ca}"' in done.stdout


@PG15
def test_what_cannot_be_asked_is_said(pg: PostgreSQL, tmp_path: Path) -> None:
    done = generate(pg, "--patroni-url", "http://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Patroni at http://127.0.0.1:1 does not answer" in done.stderr
    nobody = generate(pg, user="nobody_at_all")
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert "nobody_at_all" in nobody.stderr


class Translated(Pooler):
    """A greenpool whose configuration was PgBouncer's; what the tests need is included."""

    def write_config(self) -> None:
        general = {"general": self._config()["general"]}
        include_of(self.config_path).write_text(yaml.safe_dump(general))
        ini = self.directory / "pgbouncer.ini"
        ini.write_text(
            f"[databases]\napp = host={self.pg.host} port={self.pg.port}\n"
            f"[pgbouncer]\nauth_type = md5\nauth_file = userlist.txt\nauth_user = postgres\n"
            f"pool_mode = transaction\nlisten_addr = 127.0.0.1\nunix_socket_dir =\n"
            f"%include more.ini\n"
        )
        (self.directory / "more.ini").write_text("default_pool_size = 3\n")
        ((secret,),) = self.pg.sql("select rolpassword from pg_authid where rolname = 'app'")
        (self.directory / "userlist.txt").write_text(f'"app" "{secret}"\n')
        options = "--from-pgbouncer", str(ini), "--output", str(self.config_path)
        done = run_generate(*options)
        assert done.returncode == 0, done.stderr


def test_pgbouncers_configuration_is_served(pg: PostgreSQL, make_pooler: MakePooler) -> None:
    pooler = make_pooler(1, kind=Translated)
    for user in ("app", "app_md5"):  # from the userlist, and by the auth_query
        with pooler.connect(user=user) as connection:
            assert connection.execute("select current_user").fetchone() == (user,)
    assert load(pooler.config_path, {}).pools["app"].users["app"].pool_size == 3


@pytest.fixture
def patroni(_nothing_left: None) -> Iterator[Patroni]:
    patroni = Patroni()
    try:
        patroni.start()
        yield patroni
    finally:
        patroni.stop()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_patroni_names_its_members(patroni: Patroni) -> None:
    where = ["--host", patroni.host, "--port", str(patroni.port), "--user", "postgres"]
    text = run_generate(*where, "--superusers", "--patroni-url", patroni.url).stdout
    assert f'patroni_api_urls: ["{patroni.url}"]' in text
    assert 'password: "SCRAM-SHA-256$' in text
