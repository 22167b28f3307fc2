"""The admin console of a running greenpool: what it shows is true, whichever worker answers."""

from __future__ import annotations

import psycopg
import pytest
import yaml

from greenpool import __version__
from greenpool.admin.show import INQUIRIES, SHOWS, Inquiry, Show
from greenpool.admin.strangers import none_rows
from greenpool.admin.welcome import ADMIN_DATABASES
from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.programs import PASSWORD, run_psql
from tests.integration.harness.waiting import wait_for


def admin_dsn(pooler: Pooler, database: str = "greenpool", password: str = "admin-secret") -> str:
    return f"postgresql://admin:{password}@{pooler.host}:{pooler.port}/{database}"


def test_everything_can_be_shown(make_pooler: MakePooler) -> None:
    lookup = {"query": "select usename, passwd from pg_shadow where usename = $1", "user": "app"}
    app = {"max_db_connections": 20, "startup_parameters": {"jit": "off"}}
    pooler = make_pooler(2, pools={"app": app, "bench": {"auth_query": lookup}})
    assert pooler.upgrade().returncode == 0
    with pooler.connect() as connection:
        connection.execute("SELECT %s::int", (1,), prepare=True)
        everything: dict[str, Show | Inquiry] = {**SHOWS, **INQUIRIES}
        for name, show in everything.items():
            found = pooler.admin(f"SHOW {name.upper()};")
            if show.rows is none_rows:
                assert not found
                continue
            assert found, name
            assert list(found[0]) == [column.name for column in show.columns]


def test_the_console_has_three_names(make_pooler: MakePooler) -> None:
    pooler = make_pooler(workers=1)
    for database in ADMIN_DATABASES:
        with psycopg.connect(admin_dsn(pooler, database), autocommit=True) as connection:
            row = connection.execute("SHOW VERSION").fetchone()
            assert row == (f"greenpool {__version__}",)
            version = connection.info.parameter_status("server_version")
            assert version == f"{__version__}/greenpool"


def test_psql_is_answered_or_told_why_not(pooler: Pooler) -> None:
    script = "\\conninfo\n\\l\n\\d\n\\du\nSELECT current_user, current_database();\n"
    dsn = admin_dsn(pooler)
    done = run_psql(pooler.pg.program("psql"), dsn, script, "-At")
    assert done.stdout.splitlines()[-1] == "admin|greenpool"
    refusals = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
    assert len(refusals) == 3, done.stderr
    assert all(line.endswith("is not supported by the admin console") for line in refusals)


def test_a_linked_client_and_its_server_are_seen(pooler: Pooler) -> None:
    with pooler.connect(application_name="shop") as connection:
        row = connection.execute("BEGIN; SELECT pg_backend_pid()").nextset()
        assert row
        (client,) = [each for each in pooler.admin("SHOW CLIENTS") if each["database"] == "app"]
        assert (client["state"], client["user"]) == ("active", "app")
        assert client["application_name"] == "shop"
        servers = pooler.admin("SHOW SERVERS")
        (server,) = [each for each in servers if each["link"] == client["ptr"]]
        assert (server["state"], server["ptr"]) == ("active", client["link"])
        assert (server["addr"], server["port"]) == (pooler.pg.host, pooler.pg.port)
        assert server["remote_pid"] in [each.pid for each in pooler.pg.backends(user="app")]
        (pool,) = [each for each in pooler.admin("SHOW POOLS") if each["database"] == "app"]
        assert (pool["cl_active"], pool["sv_active"]) == (1, 1)
        connection.execute("COMMIT")
        states = {each["ptr"]: each["state"] for each in pooler.admin("SHOW SERVERS")}
        assert states[server["ptr"]] == "idle"


def test_stats_count_what_was_done(pooler: Pooler) -> None:
    with pooler.connect() as connection:
        for _ in range(20):
            connection.execute("SELECT 1")

    def app_stats() -> dict[str, int]:
        (row,) = [each for each in pooler.admin("SHOW STATS") if each["database"] == "app"]
        return row

    wait_for(lambda: app_stats()["total_xact_count"] >= 20, "20 transactions are counted")
    stats = app_stats()
    assert stats["total_query_count"] >= 20
    assert stats["total_received"] > 0
    assert stats["total_server_assignment_count"] >= 1


def test_lists_and_workers_agree_with_the_processes(pooler: Pooler) -> None:
    lists = {row["list"]: row["items"] for row in pooler.admin("SHOW LISTS")}
    assert (lists["workers"], lists["databases"], lists["pools"]) == (pooler.workers, 2, 2)
    shown = {row["pid"] for row in pooler.admin("SHOW WORKERS")}
    assert shown == set(pooler.worker_pids())


def test_config_masks_secrets(pooler: Pooler) -> None:
    rows = pooler.admin("SHOW CONFIG")
    assert next(row["value"] for row in rows if row["key"] == "port") == str(pooler.port)
    assert "admin-secret" not in str(rows)


def test_only_the_admin_gets_in(make_pooler: MakePooler) -> None:
    pooler = make_pooler(workers=1)
    for dsn in (
        admin_dsn(pooler, password="wrong"),
        f"postgresql://app:{PASSWORD}@{pooler.host}:{pooler.port}/greenpool",
    ):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(dsn)


def test_mistakes_are_answered_with_help(pooler: Pooler) -> None:
    with psycopg.connect(admin_dsn(pooler), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.SyntaxError, match="Did you mean SHOW POOLS"):
            connection.execute("SHOW POLS")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="this SELECT"):
            connection.execute("SELECT 1 + 1")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_reload_takes_a_new_configuration(make_pooler: MakePooler) -> None:
    pooler = make_pooler(workers=1)
    config = yaml.safe_load(pooler.config_path.read_text())
    config["general"]["query_wait_timeout"] = "1234ms"
    pooler.config_path.write_text(yaml.safe_dump(config))
    pooler.admin("RELOAD")

    def value() -> str:
        rows = pooler.admin("SHOW CONFIG")
        found: str = next(row["value"] for row in rows if row["key"] == "query_wait_timeout")
        return found

    wait_for(lambda: value() == "1234ms", "the new query_wait_timeout is shown")
