"""The same rules, users, connections and passwords at PostgreSQL and here: the same decisions.

Every combination is tried at both, and what a client is told must be the same word for word.
"""

from __future__ import annotations

import itertools
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.programs import PASSWORD
from tests.integration.harness.tls import House, encrypted, files_of
from tests.integration.harness.waiting import wait_for

pytestmark = ANY_POSTGRESQL

ME = pwd.getpwuid(os.getuid()).pw_name
"""Who this process is to a UNIX socket: a role here too, unless it is the harness's own."""

SECRETS = {
    "u_scram": "set password_encryption = 'scram-sha-256'; create role u_scram login password '{}'",
    "u_md5": "set password_encryption = 'md5'; create role u_md5 login password '{}'",
    "u_none": "create role u_none login",
    ME: f"""set password_encryption = 'scram-sha-256'; create role "{ME}" login password '{{}}'""",
}
USERS = (*SECRETS, "ghost")
CREDENTIALS = (PASSWORD, "wrong")
IDENT = f"m {ME} u_scram\nm /^(.*)$ \\1\nother {ME} u_md5\n"

RULES = {
    "trust": "local all all trust\nhost all all all trust",
    "reject": "local all all reject\nhost all all 127.0.0.1/32 reject",
    "md5": "local all all md5\nhost all all 0.0.0.0/0 md5",
    "scram": "local all all scram-sha-256\nhost all all 127.0.0.0/8 scram-sha-256",
    "password": "local all all password\nhost all all samehost password",
    "peer": "local all all peer\nhost all all 127.0.0.1 255.255.255.255 md5",
    "map": "local all all peer map=m\nhost all u_md5,ghost samenet scram-sha-256",
    "other map": "local all all ident map=other\nhostnossl all all all password",
    "order": (
        "host all u_scram 127.0.0.1/32 reject\nlocal all u_scram trust\n"
        "host all all all md5\nlocal all all reject"
    ),
    "elsewhere": "host all all 10.0.0.0/8 trust\nhost all all ::/0 trust\nlocal app u_md5 md5",
    "databases": (
        "host other,bench all all trust\nhost app all all scram-sha-256\n"
        "local sameuser all trust\nlocal replication all trust\nlocal all u_scram md5"
    ),
    "quotes": 'host "all" all all trust\nhost all "u_scram", "u_md5" all md5\nlocal "app" all md5',
    "tls": "hostssl all all all trust\nhostssl app all all reject\nhost all u_md5 all md5",
    "files": "local all @names md5\nhost @databases @names all password",
    "names": "host all all localhost md5\nhost all all .localdomain trust\nlocal all all md5",
    "lines": "local \\\n all all md5 # so on \\\nand on\nhost all,app u_none,ghost \\\nall md5",
}
RULES_OF_18 = {
    "patterns": 'local /^ap+$ /^u_.*$ md5\nhost "/^a{1,2}p+$" /d5$,/^u_sc all md5',
    "include": "include more.conf\ninclude_if_exists none.conf\nlocal all all md5",
}

PLAIN = {"sslmode": "disable"}
TLS = {"sslmode": "require", "sslcert": "/none"}
RULES_OF_TLS = {
    "ssl": "hostssl all all all scram-sha-256",
    "no ssl": "hostnossl all all all md5",
    "both": "hostnossl all u_none all trust\nhostssl all u_scram,u_none all md5",
    "refused by ssl": "hostssl all u_scram all reject\nhost all all all md5",
    "refused without": "hostnossl all all all reject\nhost all all all password",
    "cert": "hostssl all all all cert",
    "cert of a map": "hostssl all all all cert map=people",
    "whole name": "hostssl all all all cert clientname=DN map=names",
    "cert beside": "hostssl all all all scram-sha-256 clientcert=verify-full",
    "some cert": "hostssl all all all md5 clientcert=verify-ca\nhost all all all reject",
    "trusted": "hostssl all u_md5,ghost all trust clientcert=verify-ca\nhost all all all md5",
}
MAPS_OF_TLS = "people /^(.*)$ \\1\npeople u_md5 u_none\nnames CN=u_scram u_scram\n"

FILES = {
    "names": "u_scram, ghost\n# not u_md5\nu_none",
    "databases": "app",
    "more.conf": "host all u_md5 all md5\nlocal all u_scram reject",
}


@pytest.fixture
def hba(pg: PostgreSQL) -> Iterator[PostgreSQL]:
    """Return a server with the users of the table; its rules are put back at the end."""
    wanted = {name: sql for name, sql in SECRETS.items() if name != "postgres"}
    for sql in wanted.values():
        pg.sql(sql.format(PASSWORD))
    for name, text in FILES.items():
        (pg.data_dir / name).write_text(text)
    yield pg
    pg.set_hba()
    for name in wanted:
        pg.sql(f'drop role "{name}"')
    for name in FILES:
        (pg.data_dir / name).unlink()


def start(hba: PostgreSQL, make_pooler: MakePooler, directory: Path, **settings: str) -> Pooler:
    """Start a pooler whose users have the secrets that PostgreSQL keeps."""
    kept = dict(hba.sql("select rolname, rolpassword from pg_authid where rolcanlogin"))
    server = {"server_username": "postgres", "server_password": PASSWORD}
    users = [user(name, password=kept[name], **server) for name in SECRETS]
    for name, text in FILES.items():
        (directory / name).write_text(text)
    settings = {"unix_socket_dir": str(directory), **QUIET, **settings}
    return make_pooler(1, pools={"app": {"users": users}}, **settings)


def apply(pooler: Pooler, directory: Path, rules: str, ident: str, marker: str) -> None:
    """Give the pooler other rules, and wait until they hold."""
    (directory / "pg_hba.conf").write_text(f"local all {marker} reject\n{rules}\n")
    (directory / "pg_ident.conf").write_text(ident)
    done = pooler.reload(
        pg_hba={"path": str(directory / "pg_hba.conf")},
        pg_ident={"path": str(directory / "pg_ident.conf")},
    )
    assert done.returncode == 0, done.stderr
    wait_for(
        lambda: "rejects" in decision(directory, pooler.port, marker, ""), f"{marker} is rejected"
    )


def decision(host: Path | str, port: int, name: str, password: str, **options: str) -> str:
    """Try to log in; return what the client is told, less what names the server."""
    whole = {"user": name, "password": password, "dbname": "app", **(options or PLAIN)}
    try:
        psycopg.connect(make_conninfo(host=str(host), port=port, **whole)).close()
    except psycopg.OperationalError as exc:
        return str(exc).strip().rpartition(" failed: ")[2]
    return "let in"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_decisions_are_postgresql_s(hba: PostgreSQL, make_pooler: MakePooler, tmp_path: Path):
    directory = tmp_path
    directory.chmod(0o755)
    pooler = start(hba, make_pooler, directory)
    rules = RULES | (RULES_OF_18 if hba.major >= 18 else {})
    told: list[str] = []
    for number, (title, text) in enumerate(rules.items()):
        hba.set_hba(f"{text}\n", IDENT)
        apply(pooler, directory, text, IDENT, f"mark_{number}")
        for name, secret, is_local in itertools.product(USERS, CREDENTIALS, (True, False)):
            theirs = decision(hba.socket_dir if is_local else hba.host, hba.port, name, secret)
            ours = decision(directory if is_local else pooler.host, pooler.port, name, secret)
            what = f"{title}: {name}, {secret}, {'local' if is_local else 'tcp'}"
            told.append(theirs)
            assert f"{what}: {ours}" == f"{what}: {theirs}"
    assert len(told) >= 300
    assert len(set(told)) > 20  # the table shows more than one kind of decision


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_decisions_over_tls_are_postgresql_s(
    hba: PostgreSQL, make_pooler: MakePooler, house: House, tmp_path: Path
):
    tmp_path.chmod(0o755)
    if hba.major >= 18:
        pytest.skip("the PostgreSQL 18 of the tests is built without OpenSSL")
    pooler = start(hba, make_pooler, tmp_path, **house.asking())
    certificates = {name: files_of(house.authority.issue(name)) for name in ("u_scram", "u_md5")}
    transports = {
        "plain": PLAIN,
        "tls": TLS,
        **{f"certificate of {name}": TLS | files for name, files in certificates.items()},
    }
    told: list[str] = []
    with encrypted(hba, house.server, authorities=house.authority.certificate):
        for number, (title, text) in enumerate(RULES_OF_TLS.items()):
            hba.set_hba(f"{text}\n", MAPS_OF_TLS)
            apply(pooler, tmp_path, text, MAPS_OF_TLS, f"mark_{number}")
            for name, secret, transport in itertools.product(USERS, CREDENTIALS, transports):
                options = transports[transport]
                theirs = decision(hba.host, hba.port, name, secret, **options)
                ours = decision(pooler.host, pooler.port, name, secret, **options)
                told.append(theirs)
                what = f"{title}: {name}, {secret}, {transport}"
                assert f"{what}: {ours}" == f"{what}: {theirs}"
        hba.set_hba()
    assert len(told) >= 300
    assert len(set(told)) > 15
