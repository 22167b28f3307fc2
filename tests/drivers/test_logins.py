"""Every method of pg_hba, plain and over TLS, as the drivers meet it: who gets in, who is told why.

A program gets a file of logins (GREENPOOL_LOGINS), one a line and tried in that order: a name of
the attempt, user, password, the authority that vouches for greenpool (empty: no TLS), the client's
certificate, its key, the same key in PKCS #8 (DER). It prints for each the name, a tab, and
`served` or what the driver says of the failure in one line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from greenpool.auth.md5 import md5_hash
from tests.drivers.project import TEST_DEADLINE_S, Program
from tests.drivers.test_go import GO
from tests.drivers.test_java import JAVA, RUN
from tests.drivers.test_node import NODE
from tests.drivers.test_python import PYTHON
from tests.integration import conftest as integration
from tests.integration.conftest import MakePooler
from tests.integration.harness.certificates import Issued
from tests.integration.harness.directory import BASE, Directory
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.programs import PASSWORD
from tests.integration.harness.tls import House
from tests.unit.auth.keys import RSA, pem, token

house = integration.house

_ROOT = Path(__file__).parent.parent.parent
# Of a login that is refused, asyncpg leaves the socket to the collector.
_STRICT = ("-W", "error", "-W", "ignore::ResourceWarning")
_PYTHON = (sys.executable, *_STRICT, "-m", "tests.drivers.python.logins")
PROGRAMS = {
    **{name: Program(PYTHON, (*_PYTHON, name), _ROOT) for name in ("psql", "psycopg", "asyncpg")},
    "pgjdbc": Program(JAVA, (*RUN, "greenpool.Logins")),
    "node-postgres": Program(NODE, ("node", "--unhandled-rejections=strict", "logins.js")),
    "pgx": Program(GO, ("{build}/bin/logins",)),
}


@dataclass(frozen=True, slots=True)
class Login:
    """One attempt, and what must come of it: `served`, or the server's words."""

    name: str
    user: str
    password: str
    answer: str
    is_encrypted: bool = False
    certificate: Issued | None = None

    def line(self, house: House) -> str:
        files = ["", "", ""]
        if self.certificate is not None:
            key = self.certificate.key
            files = [str(self.certificate.certificate), str(key), str(key.with_suffix(".pk8"))]
        authority = str(house.authority.certificate) if self.is_encrypted else ""
        return "\t".join((self.name, self.user, self.password, authority, *files)) + "\n"


@pytest.fixture
def directory(_nothing_left: None) -> Iterator[Directory]:
    server = Directory()
    server.start()
    yield server
    server.stop()


Start = Callable[[], Pooler]


@pytest.fixture
def start(make_pooler: MakePooler, house: House, directory: Directory, tmp_path: Path) -> Start:
    """Return what starts a pooler with a user for every method."""
    key = tmp_path / "tokens.pem"
    key.write_text(pem(RSA))
    where = f"ldapserver=127.0.0.1 ldapport={directory.port}"
    ldap = f'{where} ldapprefix="uid=" ldapsuffix=",ou=people,{BASE}"'
    rules = (
        "hostssl all bycert all cert",
        "host all bytrust all trust",
        "host all bypassword all password",
        "host all bymd5 all md5",
        f"host all ann all ldap {ldap}",
        f"host all byjwt all jwt jwt_key={key}",
        "hostssl all both all scram-sha-256 clientcert=verify-full",
        "host all all all scram-sha-256",
    )
    names = ("bycert", "bytrust", "bypassword", "bymd5", "ann", "byjwt", "both", "byscram")
    server = {"server_username": "app", "server_password": PASSWORD}
    passwords = {"bymd5": md5_hash("bymd5", PASSWORD).text}
    users = [user(name, **{"password": passwords.get(name, PASSWORD), **server}) for name in names]
    pools = {"app": {"users": users}}
    settings = house.asking(pg_hba="\n".join(rules), **QUIET)
    return lambda: make_pooler(2, pools=pools, **settings)


def attempts(house: House) -> list[Login]:
    own = {name: _issue(house, name) for name in ("bycert", "both")}
    wrong = 'password authentication failed for user "{}"'
    plain: list[Login] = [Login("trust", "bytrust", "anything", "served")]
    for name in ("password", "md5", "scram"):
        who = f"by{name}"
        plain.append(Login(name, who, PASSWORD, "served"))
        plain.append(Login(f"{name}, wrong", who, "wrong", wrong.format(who)))
    jwt, ldap = token(RSA, preferred_username="byjwt"), "secret"
    plain += [
        Login("jwt", "byjwt", jwt, "served"),
        Login("jwt of another", "byjwt", token(RSA), 'JWT authentication failed for user "byjwt"'),
        Login("ldap", "ann", ldap, "served"),
        Login("ldap, wrong", "ann", "wrong", 'LDAP authentication failed for user "ann"'),
        Login("nobody", "ghost", PASSWORD, wrong.format("ghost")),
    ]
    return [
        *plain,
        *(replace(each, name=f"{each.name}, TLS", is_encrypted=True) for each in plain),
        Login("cert", "bycert", "x", "served", True, own["bycert"]),
        Login(
            *("cert of another", "bycert", "x"),
            *('certificate authentication failed for user "bycert"', True, own["both"]),
        ),
        Login("no cert", "bycert", "x", "connection requires a valid client certificate", True),
        Login("cert without TLS", "bycert", PASSWORD, "served"),  # another rule, another method
        Login("both", "both", PASSWORD, "served", True, own["both"]),
        Login("both, wrong password", "both", "wrong", wrong.format("both"), True, own["both"]),
        Login("both, wrong cert", "both", PASSWORD, wrong.format("both"), True, own["bycert"]),
    ]


def _issue(house: House, name: str) -> Issued:
    issued = house.authority.issue(name)
    key: Any = serialization.load_pem_private_key(issued.key.read_bytes(), None)
    der, form = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8
    issued.key.with_suffix(".pk8").write_bytes(
        key.private_bytes(der, form, serialization.NoEncryption())
    )
    return issued


@pytest.mark.slow
@pytest.mark.timeout(TEST_DEADLINE_S)
@pytest.mark.parametrize("name", PROGRAMS)
def test_logins(
    name: str, start: Start, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = PROGRAMS[name]
    program.project.make()
    wanted = attempts(house)
    file = tmp_path / "logins"
    file.touch(mode=0o600)
    file.write_text("".join(each.line(house) for each in wanted))
    monkeypatch.setenv("GREENPOOL_LOGINS", os.fspath(file))
    said = dict(line.split("\t", 1) for line in program.run(start().dsn()).splitlines())
    assert list(said) == [each.name for each in wanted]
    for each in wanted:
        assert each.answer in said[each.name], each.name
