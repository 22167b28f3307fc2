"""Passwords that PAM checks: a real service in /etc/pam.d, for PostgreSQL and for greenpool."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.programs import PASSWORD

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can write a service to /etc/pam.d"),
]

REFUSED = 'PAM authentication failed for user "{}"'
PEOPLE = ("pam_ann", "pam_bob")
# ann's and bob's password is the same, but bob's account has expired.
_AUTH = f"""#!/bin/sh
[ "$(tr -d '\\0')" = {PASSWORD} ]
"""
_ACCOUNT = """#!/bin/sh
[ "$PAM_USER" = pam_ann ]
"""


@pytest.fixture
def service() -> Iterator[str]:
    """Return the name of a service whose modules are scripts."""
    directory = Path("/etc/pam.d")
    name = f"greenpool-test-{os.getpid()}"
    scripts = Path(tempfile.mkdtemp(prefix="greenpool-pam-"))
    scripts.chmod(0o755)  # PostgreSQL runs as another user
    for script, text in (("auth", _AUTH), ("account", _ACCOUNT)):
        (scripts / script).write_text(text)
        (scripts / script).chmod(0o755)
    (directory / name).write_text(
        f"auth required pam_exec.so quiet expose_authtok {scripts}/auth\n"
        f"account required pam_exec.so quiet {scripts}/account\n"
    )
    yield name
    (directory / name).unlink()
    shutil.rmtree(scripts)


def log_in(port: int, name: str, password: str) -> str:
    try:
        psycopg.connect(
            host="127.0.0.1", port=port, user=name, password=password, dbname="app"
        ).close()
    except psycopg.OperationalError as exc:
        return str(exc).strip().rpartition("FATAL:  ")[2]
    return "let in"


def users(**settings: object) -> dict[str, dict[str, object]]:
    server = {"server_username": "app", "server_password": PASSWORD, "password": None, **settings}
    return {"app": {"users": [user(name, **server) for name in PEOPLE]}}


def test_pam_decides_as_for_postgresql(pg: PostgreSQL, make_pooler: MakePooler, service: str):
    if pg.major != 15:
        pytest.skip("Debian's PostgreSQL knows PAM, the wheel's does not")
    hba = f"host all pam_ann,pam_bob all pam pamservice={service}\n"
    pooler = make_pooler(1, pools=users(), pg_hba=hba)
    for name in PEOPLE:
        pg.sql(f"create role {name} login")
    try:
        pg.set_hba(hba + "host all app all scram-sha-256\n")
        for name in PEOPLE:
            for password in (PASSWORD, "wrong", "secret "):
                theirs = log_in(pg.port, name, password)
                assert log_in(pooler.port, name, password) == theirs, (name, password)
    finally:
        pg.set_hba()
        for name in PEOPLE:
            pg.sql(f"drop role {name}")
    assert log_in(pooler.port, "pam_ann", PASSWORD) == "let in"
    assert log_in(pooler.port, "pam_bob", PASSWORD) == REFUSED.format("pam_bob")


def test_service_of_a_user(make_pooler: MakePooler, service: str):
    pooler = make_pooler(2, pools=users(auth_pam_service=service))
    assert log_in(pooler.port, "pam_ann", PASSWORD) == "let in"
    with pooler.log_contains('user "pam_ann" from 127.0.0.1: System error'):
        assert log_in(pooler.port, "pam_ann", "wrong") == REFUSED.format("pam_ann")
    assert PASSWORD not in pooler.log()
