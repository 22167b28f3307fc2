"""Passwords that a directory keeps: a real slapd, beside what PostgreSQL makes of the same rule."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import psycopg
import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.directory import BASE, READER, Directory
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.programs import PASSWORD

REFUSED = 'LDAP authentication failed for user "{}"'


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch, _nothing_left: None) -> Iterator[Directory]:
    server = Directory()
    server.start()
    monkeypatch.setenv("LDAPTLS_CACERT", str(server.ca_path))
    yield server
    server.stop()


SIMPLE = f'ldapprefix=uid= ldapsuffix=",ou=people,{BASE}"'
BOUND = f'ldapbinddn="{READER}" ldapbindpasswd=reading'
SEARCH = f'ldapbasedn="{BASE}" {BOUND}'
# What follows the address of the server, and who gets in with the right password.
RULES = [
    (SIMPLE, {"ann": True, "bob": True, "eve": False}),
    (f"ldaptls=1 {SIMPLE}", {"ann": True}),
    (f"{SEARCH}", {"ann": True, "bob": False, "eve": False}),
    (f"{SEARCH} ldapsearchattribute=mail", {"ann": False}),
    (f'{SEARCH} ldapsearchfilter="(mail=$username@example.net)"', {"ann": True, "bob": False}),
    (f'ldapbasedn="ou=people,{BASE}" {BOUND}', {"bob": True}),
    (f'ldapbasedn="{BASE}"', {"ann": False}),  # nobody but the reader may search
    (f'ldapbasedn="{BASE}" ldapbinddn="{READER}" ldapbindpasswd=x', {"ann": False}),
]
PEOPLE = ("ann", "bob", "eve")


def users(**settings: object) -> dict[str, dict[str, object]]:
    server = {"server_username": "app", "server_password": PASSWORD, "password": None, **settings}
    return {"app": {"users": [user(name, **server) for name in PEOPLE]}}


def log_in(port: int, name: str, password: str) -> str:
    try:
        psycopg.connect(
            host="127.0.0.1", port=port, user=name, password=password, dbname="app"
        ).close()
    except psycopg.OperationalError as exc:
        return str(exc).strip().rpartition("FATAL:  ")[2]
    return "let in"


def test_directory_decides_as_for_postgresql(
    pg: PostgreSQL, make_pooler: MakePooler, directory: Directory
):
    if pg.major != 15:
        pytest.skip("Debian's PostgreSQL knows LDAP, the wheel's does not")
    for name in PEOPLE:
        pg.sql(f"create role {name} login")
    rules = [f"ldapserver=127.0.0.1 ldapport={directory.port} {each}" for each, _ in RULES]
    pooler = make_pooler(1, pools=users())
    try:
        for rule, (_, people) in zip(rules, RULES, strict=True):
            hba = f"host all {','.join(PEOPLE)} all ldap {rule}\n"
            assert pooler.reload(pg_hba=hba).returncode == 0
            pg.set_hba(hba + "host all app all scram-sha-256\n")
            for name, fits in people.items():
                assert log_in(pooler.port, name, PASSWORD) == (
                    "let in" if fits else REFUSED.format(name)
                )
                if "ldaptls" in rule:  # PostgreSQL was started without the certificate
                    continue
                for password in (PASSWORD, "wrong", "secret "):
                    theirs = log_in(pg.port, name, password)
                    assert log_in(pooler.port, name, password) == theirs, (rule, name, password)
    finally:
        pg.set_hba()
        for name in PEOPLE:
            pg.sql(f"drop role {name}")


def test_user_s_own_directory_and_tls(make_pooler: MakePooler, directory: Directory):
    url = f"ldaps://127.0.0.1:{directory.tls_port}/{BASE}??sub?(uid=$username)"
    pooler = make_pooler(2, pools=users(auth_ldap=f'"ldapurl={url}" {BOUND}'))
    assert log_in(pooler.port, "ann", PASSWORD) == "let in"
    with pooler.log_contains('user "ann" from 127.0.0.1: the directory refuses the password'):
        assert log_in(pooler.port, "ann", "wrong") == REFUSED.format("ann")
    # Where a rule asks for a password, whoever keeps it is asked.
    assert pooler.reload(pg_hba="host all all all md5").returncode == 0
    assert log_in(pooler.port, "ann", PASSWORD) == "let in"
    assert log_in(pooler.port, "ann", "wrong") == REFUSED.format("ann")
    assert PASSWORD not in pooler.log()


def test_directory_that_is_silent_holds_up_nobody_else(make_pooler: MakePooler):
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        port = silent.getsockname()[1]
        hba = f"host all ann all ldap ldapserver=127.0.0.1 ldapport={port} {SIMPLE}\n"
        pools = users()
        pools["app"]["users"] = [*pools["app"]["users"], user("app")]  # type: ignore[misc]
        pooler = make_pooler(
            1, pools=pools, pg_hba=hba + "host all all all md5", client_login_timeout="1s"
        )
        waiting = [_begin(pooler) for _ in range(20)]
        assert log_in(pooler.port, "app", PASSWORD) == "let in"
        assert log_in(pooler.port, "ann", PASSWORD) == ("canceling authentication due to timeout")
        for each in waiting:
            each.close()


def _begin(pooler: Pooler) -> socket.socket:
    """Be a client that has sent its password and waits for the verdict."""
    sock = socket.create_connection((pooler.host, pooler.port), 10)
    body = b"\0\3\0\0user\0ann\0database\0app\0\0"
    sock.sendall((len(body) + 4).to_bytes(4, "big") + body)
    assert sock.recv(9) == b"R\0\0\0\x08\0\0\0\3"
    sock.sendall(b"p\0\0\0\x0bsecret\0")
    return sock
