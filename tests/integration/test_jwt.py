"""Logins with JSON web tokens in place of a password."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.programs import PASSWORD
from tests.unit.auth.keys import EC, ED, NOW, RSA, RSA_OTHER, jwk, jwks, pem, token

pytestmark = ANY_POSTGRESQL

REFUSED = 'JWT authentication failed for user "{}"'


def log_in(pooler: Pooler, name: str, password: str) -> str:
    try:
        psycopg.connect(
            host=pooler.host, port=pooler.port, user=name, password=password, dbname="app"
        ).close()
    except psycopg.OperationalError as exc:
        return str(exc).strip().rpartition("FATAL:  ")[2]
    return "let in"


def users(**passwords: object) -> dict[str, dict[str, object]]:
    server = {"server_username": "app", "server_password": PASSWORD}
    return {
        "app": {"users": [user(name, password=passwords[name], **server) for name in passwords]}
    }


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    (tmp_path / "rsa.pem").write_text(pem(RSA))
    (tmp_path / "set.json").write_text(jwks(jwk(EC, kid="e"), jwk(ED, kid="d")))
    return tmp_path


def test_key_of_a_user(make_pooler: MakePooler, keys: Path):
    pooler = make_pooler(2, pools=users(ann=f"jwt-pkey-fpath:{keys}/rsa.pem", bob="other"))
    good = token(RSA)
    assert log_in(pooler, "ann", good) == "let in"
    for bad in (token(RSA_OTHER), token(EC), token(RSA, preferred_username="bob"), "secret"):
        assert log_in(pooler, "ann", bad) == REFUSED.format("ann")
    with pooler.log_contains('user "ann" from 127.0.0.1: it has expired'):
        assert log_in(pooler, "ann", token(RSA, exp=NOW)) == REFUSED.format("ann")
    assert log_in(pooler, "bob", good) == 'password authentication failed for user "bob"'
    assert good.rpartition(".")[2] not in pooler.log()


def test_keys_of_a_rule(make_pooler: MakePooler, keys: Path):
    hba = f"host all all all jwt jwt_key={keys}/set.json jwt_audience=db jwt_user_claim=sub map=m"
    pooler = make_pooler(1, pools=users(ann="x", bob="x"), pg_hba=hba, pg_ident=r"m /^(.*)@x$ \1")
    claims: dict[str, Any] = {"aud": "db", "sub": "ann@x"}
    assert log_in(pooler, "ann", token(EC, {"kid": "e"}, **claims)) == "let in"
    assert log_in(pooler, "ann", token(ED, {"kid": "d"}, **claims)) == "let in"
    assert log_in(pooler, "bob", token(EC, **claims)) == REFUSED.format("bob")
    assert log_in(pooler, "ann", token(EC, sub="ann@x")) == REFUSED.format("ann")
    eve = token(EC, aud="db", sub="eve@x")
    assert log_in(pooler, "eve", eve) == 'role "eve" does not exist'


def test_new_keys_hold_after_a_reload(make_pooler: MakePooler, keys: Path):
    pools = users(ann=f"jwt-pkey-fpath:{keys}/rsa.pem")
    pooler = make_pooler(1, pools=pools)
    assert log_in(pooler, "ann", token(RSA_OTHER)) == REFUSED.format("ann")
    (keys / "rsa.pem").write_text(pem(RSA) + pem(RSA_OTHER))
    assert pooler.reload().returncode == 0
    assert {log_in(pooler, "ann", token(key)) for key in (RSA, RSA_OTHER)} == {"let in"}
    (keys / "rsa.pem").write_text("nothing")
    done = pooler.reload()
    assert done.returncode == 2
    assert "holds no public key" in done.stderr
    assert log_in(pooler, "ann", token(RSA)) == "let in"
