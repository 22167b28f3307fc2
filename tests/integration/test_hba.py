"""Rules of pg_hba in a running greenpool: reload, the admin console, networks, checks."""

from __future__ import annotations

import psycopg
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.postgres import PostgreSQL

pytestmark = ANY_POSTGRESQL

CLOSED = 'no pg_hba.conf entry for host "127.0.0.1", user "app", database "app", no encryption'


def refusal(pooler: Pooler, user: str = "app", database: str = "app") -> str:
    with pytest.raises(psycopg.OperationalError) as caught:
        pooler.connect(user, database)
    return str(caught.value).strip().rpartition("FATAL:  ")[2]


def test_reload_changes_the_rules_for_those_who_come_after(make_pooler: MakePooler):
    pooler = make_pooler(2, pg_hba="host all all 127.0.0.0/8 md5")
    with pooler.connect() as connection:
        done = pooler.reload(pg_hba="host all admin 127.0.0.1/32 md5\nlocal all all trust")
        assert done.returncode == 0, done.stderr
        assert connection.execute("select 1").fetchone() == (1,)
        with pooler.log_contains(r"refused: no pg_hba.conf entry .*\(28000\)"):
            assert refusal(pooler) == CLOSED
    assert [row["type"] for row in pooler.admin("SHOW HBA")] == ["host", "local"]


def test_wrong_rules_keep_the_old_ones(make_pooler: MakePooler):
    pooler = make_pooler(1, pg_hba="host all all all md5")
    done = pooler.reload(pg_hba="host all all all md5\nhost all all 10.0.0.0 md5\nhots")
    assert done.returncode == 2
    assert 'line 2, column 23: invalid IP mask "md5"' in done.stderr
    assert 'line 3, column 1: invalid connection type "hots" (did you mean "host"?)' in done.stderr
    pooler.connect().close()


def test_admin_meets_the_rules_too(make_pooler: MakePooler):
    rules = "host greenpool all all trust\nhost all all all reject"
    pooler = make_pooler(1, pg_hba=rules)
    assert len(pooler.admin("SHOW HBA")) == 2  # by its password
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(
            host=pooler.host, port=pooler.port, user="admin", password="x", dbname="greenpool"
        )
    assert "pg_hba.conf rejects connection" in refusal(pooler, "admin", "pgbouncer")
    assert refusal(pooler, "app", "greenpool") == 'role "app" does not exist'


def test_cleartext_password_is_passed_on_as_the_keys_it_makes(
    pg: PostgreSQL, make_pooler: MakePooler
):
    [[secret]] = pg.sql("select rolpassword from pg_authid where rolname = 'app'")
    assert secret.startswith("SCRAM-SHA-256$")
    pools = {"app": {"users": [user("app", password=secret)]}}
    pooler = make_pooler(2, pools=pools, pg_hba="host all all all password")
    for _ in range(2):
        with pooler.connect() as connection:
            assert connection.execute("select current_user").fetchone() == ("app",)
    assert refusal(pooler, "nobody") == 'password authentication failed for user "nobody"'


def test_networks_of_hba(make_pooler: MakePooler):
    pooler = make_pooler(1, hba=["127.0.0.0/8"])
    pooler.connect().close()
    assert pooler.reload(hba=["10.0.0.0/8"], admin_username="nobody").returncode == 0
    assert refusal(pooler) == CLOSED
