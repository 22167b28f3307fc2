"""`greenpool show` against a running greenpool: over TCP and over its UNIX socket."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.programs import Done


def show(pooler: Pooler, *arguments: str) -> Done:
    return pooler.command("show", "-c", str(pooler.config_path), *arguments)


def test_show_says_what_the_console_says(pooler: Pooler) -> None:
    with pooler.connect() as connection:
        connection.execute("select 1")
        done = show(pooler, "pools", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        rows = json.loads(done.stdout)
        assert [list(row) for row in rows] == [list(row) for row in pooler.admin("SHOW POOLS")]
        assert [(row["database"], row["cl_active"]) for row in rows] == [("app", 1), ("bench", 0)]
        clients = show(pooler, "clients").stdout
    assert "greenpool show" in clients  # its own connection, by its application_name
    assert clients.endswith("(2 rows)\n")


def test_unknown_name_exits_with_2_and_the_consoles_hint(make_pooler: MakePooler) -> None:
    done = show(make_pooler(workers=1), "pols")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        'greenpool: unrecognized command "SHOW POLS"\n'
        "HINT:  Did you mean SHOW POOLS? SHOW HELP lists the commands.\n"
    )


@pytest.mark.parametrize("password", ["admin-secret", "admin", ""])
def test_socket_is_used_where_there_is_one(
    make_pooler: MakePooler, tmp_path: Path, password: str
) -> None:
    pooler = make_pooler(workers=1, unix_socket_dir=str(tmp_path), admin_password=password)
    done = show(pooler, "version")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("password", ["", "admin"])
def test_network_is_closed_to_an_admin_without_a_password_of_its_own(
    make_pooler: MakePooler, password: str
) -> None:
    """Not even a rule that trusts everybody lets it in."""
    rules = "host all all all trust"
    done = show(make_pooler(workers=1, admin_password=password, pg_hba=rules), "pools")
    assert done.returncode == 1
    assert "the admin console is closed to the network\nHINT:  Set admin_password" in done.stderr


def test_changed_password_is_refused_until_the_reload(make_pooler: MakePooler) -> None:
    pooler = make_pooler(workers=1)
    pooler.config_path.write_text(
        pooler.config_path.read_text().replace("admin-secret", "new-secret")
    )
    done = show(pooler, "pools")
    assert done.returncode == 1
    assert 'password authentication failed for user "admin"' in done.stderr
    assert pooler.command("reload", "-c", str(pooler.config_path)).returncode == 0
    assert show(pooler, "pools").returncode == 0


def test_greenpool_that_does_not_run_is_said(make_pooler: MakePooler) -> None:
    pooler = make_pooler(workers=1)
    pooler.stop()
    done = show(pooler, "pools")
    assert done.returncode == 1
    assert done.stderr == (
        f"greenpool: cannot reach greenpool at 127.0.0.1 port {pooler.port}: Connection refused\n"
    )
