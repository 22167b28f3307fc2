"""Rules of pg_hba that ask for TLS or for a client's certificate."""

from __future__ import annotations

import psycopg
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.tls import House, files_of

pytestmark = ANY_POSTGRESQL

PLAIN = {"sslmode": "disable"}
TLS = {"sslmode": "require", "sslcert": "/none"}


def outcome(pooler: Pooler, options: dict[str, str]) -> str:
    """Return what the server says at its refusal, or "served"."""
    try:
        with pooler.connect(**options) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
            return "served"
    except psycopg.OperationalError as error:
        return str(error).strip().rpartition("FATAL:  ")[2]


def no_entry(encryption: str) -> str:
    return 'no pg_hba.conf entry for host "127.0.0.1", user "app", database "app", ' + encryption


@pytest.mark.parametrize(
    ("rules", "plain", "tls"),
    [
        ("hostssl all all all scram-sha-256", no_entry("no encryption"), "served"),
        ("hostnossl all all all scram-sha-256", "served", no_entry("SSL encryption")),
        (
            "hostssl all all all reject\nhost all all all md5",
            "served",
            'pg_hba.conf rejects connection for host "127.0.0.1", user "app", database "app", '
            "SSL encryption",
        ),
    ],
)
def test_rules_tell_encrypted_clients_from_others(
    make_pooler: MakePooler, house: House, rules: str, plain: str, tls: str
) -> None:
    pooler = make_pooler(2, **house.settings(pg_hba=rules))
    assert outcome(pooler, PLAIN) == plain
    assert outcome(pooler, TLS) == tls


def test_certificate_is_who_one_is(make_pooler: MakePooler, house: House) -> None:
    rules = "hostssl all all all cert map=people"
    maps = "people /^(.*)@example$ \\1"
    pooler = make_pooler(1, **house.asking(pg_hba=rules, pg_ident=maps))
    known, other = house.authority.issue("app@example"), house.authority.issue("eve@example")
    assert outcome(pooler, {**TLS, **files_of(known)}) == "served"
    refusal = 'certificate authentication failed for user "app"'
    assert outcome(pooler, {**TLS, **files_of(other)}) == refusal
    assert outcome(pooler, TLS) == "connection requires a valid client certificate"
    assert outcome(pooler, PLAIN) == no_entry("no encryption")


def test_certificate_beside_the_password(make_pooler: MakePooler, house: House) -> None:
    rules = "hostssl all all all scram-sha-256 clientcert=verify-full"
    pooler = make_pooler(1, **house.asking(pg_hba=rules))
    known, other = house.authority.issue("app"), house.authority.issue("eve")
    assert outcome(pooler, {**TLS, **files_of(known)}) == "served"
    assert outcome(pooler, {**TLS, **files_of(known), "password": "wrong"}) == (
        'password authentication failed for user "app"'
    )
    # As in PostgreSQL: the password is asked for, and it is the method of the rule that failed.
    refusal = 'password authentication failed for user "app"'
    assert outcome(pooler, {**TLS, **files_of(other)}) == refusal
