"""Passwords for PostgreSQL that are changed while greenpool runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness import messages
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.wire import Wire

pytestmark = ANY_POSTGRESQL

ROLE = "rotating"


@pytest.fixture
def role(pg: PostgreSQL) -> Iterator[None]:
    pg.sql(f"create role {ROLE} login")
    yield
    pg.terminate(ROLE)
    pg.sql(f"drop role {ROLE}")


@pytest.fixture(params=["file", "command"])
def pooler(
    request: pytest.FixtureRequest,
    make_pooler: MakePooler,
    pg: PostgreSQL,
    role: None,
    tmp_path: Path,
) -> Pooler:
    """Return one that knows the role's password from a file, by itself or through a command."""
    file = tmp_path / "password"
    change(pg, "first-word", file)
    ways: dict[str, dict[str, object]] = {
        "file": {"server_password_file": str(file)},
        "command": {"server_password_command": ["cat", str(file)]},
    }
    users = [{**user(server_username=ROLE), **ways[request.param]}]
    return make_pooler(2, pools={"app": {"users": users}})


def change(pg: PostgreSQL, password: str, *files: Path) -> None:
    """Change it at PostgreSQL, and in the files."""
    for file in files:
        file.write_text(f"{password}\n")
    pg.sql(f"alter role {ROLE} password '{password}'")


def test_password_that_has_been_changed_is_found_without_a_reload(
    pooler: Pooler, pg: PostgreSQL, tmp_path: Path
) -> None:
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login()
        assert wire.rows("select current_user") == [[ROLE.encode()]]
        for password in ("second-word", "third-word"):
            change(pg, password, tmp_path / "password")
            assert pg.terminate(ROLE)
            assert wire.rows("select current_user") == [[ROLE.encode()]]
        change(pg, "fourth-word")
        pg.terminate(ROLE)
        wire.send(messages.query("select 1"))
        error = wire.read_to_end()[-1]
        assert (error.fields["S"], error.fields["C"]) == ("FATAL", "28P01")
    change(pg, "fourth-word", tmp_path / "password")
    assert pooler.psql("select 5").stdout == "5\n"
    assert "-word" not in pooler.log()


def test_command_that_fails_lets_clients_wait(
    make_pooler: MakePooler, pg: PostgreSQL, role: None, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    users = [user(server_username=ROLE, server_password_command=f"cat {file}")]
    pooler = make_pooler(1, pools={"app": {"users": users}}, query_wait_timeout="1m")
    with Wire.connect(pooler.host, pooler.port) as wire:
        with pooler.log_contains("server_password_command ended with status 1"):
            wire.authenticate("app", "app")
        change(pg, "first-word", file)
        wire.read_until(b"Z", 20)
        assert wire.rows("select current_user") == [[ROLE.encode()]]
