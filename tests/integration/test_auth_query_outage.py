"""auth_query while PostgreSQL cannot be asked, or does not understand the question."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.found import (
    asking,
    counts,
    log_in,
    refusal,
    refusal_code,
    whoami,
    wrong_password,
)
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for

pytestmark = [ANY_POSTGRESQL, pytest.mark.usefixtures("found_users")]


def test_outage_refuses_strangers_soon_and_ends_at_once(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    pooler = make_pooler(1, pools=asking(min_interval=0), query_wait_timeout="1s")
    assert refusal(pooler, "ann") == ""
    assert refusal(pooler, "stranger") == wrong_password("stranger")
    pg.stop()
    begin = time.monotonic()
    assert refusal(pooler, "bob").startswith('cannot look up user "bob"')
    assert time.monotonic() - begin < 5.0
    assert "08006" in refusal_code(pooler, "bob")
    # The last answer stands in: who is in the cache is known, for good or ill.
    assert refusal(pooler, "ann", "wrong") == wrong_password("ann")
    assert refusal(pooler, "stranger") == wrong_password("stranger")
    with log_in(pooler, "ann") as connection:
        pg.start()
        wait_for(lambda: refusal(pooler, "bob") == "", "users are found again")
        assert whoami(connection) == "ann"
    assert "app: auth_query failed: " in pooler.log()


def test_answers_stand_in_for_their_time(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pools = asking(min_interval=0, cache_ttl=0, cache_failure_ttl=0)
    pooler = make_pooler(1, pools=pools, query_wait_timeout="500ms")
    assert refusal(pooler, "ann") == ""
    assert refusal(pooler, "stranger") == wrong_password("stranger")
    pg.stop()
    for name in ("ann", "stranger"):
        assert refusal(pooler, name).startswith(f'cannot look up user "{name}"')


def test_users_wait_for_a_server_that_is_coming_back(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    pooler = make_pooler(1, pools=asking(), query_wait_timeout="20s")
    pg.stop()
    with ThreadPoolExecutor(1) as threads:
        with pooler.log_contains("cannot open a server"):
            login = threads.submit(log_in, pooler, "ann")
        pg.start()
        with login.result(timeout=30) as connection:
            assert whoami(connection) == "ann"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"query": "select passwd from nowhere where $1 = ''"}, 'relation "nowhere" does not'),
        ({"query": "select passwd from pg_shadow where usename = $1"}, "permission denied"),
        ({"query": "select 1, 2, 3 where $1 <> ''"}, 'no column "passwd" or "password"'),
        ({"query": "select passwd from look_up($1), generate_series(1, 2)"}, "returns 2 rows"),
        ({"query": "select passwd from look_up($1"}, "syntax error"),
        ({"query": "select 'x' as passwd, 'x' as startup_parameters where $1 > ''"}, "not JSON"),
        ({"query": "select from look_up($1); select 1"}, "cannot insert multiple commands"),
        ({"password": "wrong"}, 'password authentication failed for user "asker"'),
        ({"user": "missing"}, 'password authentication failed for user "missing"'),
        ({"database": "missing"}, 'database "missing" does not exist'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistake_is_told_to_the_operator_alone(
    make_pooler: MakePooler, settings: dict[str, object], why: str
) -> None:
    pooler = make_pooler(1, pools=asking(**settings))
    with pooler.log_contains(f"app: auth_query failed: .*{why}"):
        assert "08006" in refusal_code(pooler, "ann")
    assert refusal(pooler, "ann").splitlines()[0] == 'cannot look up user "ann"'
    assert counts(pooler)["executor_errors"] == 2
    assert refusal(pooler, "app") == ""  # who is configured does not depend on it
    assert pooler.reload(asking()).returncode == 0
    assert refusal(pooler, "ann") == ""


def test_query_that_hangs_ends_with_its_login(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    slow = asking(query="select passwd from look_up($1), pg_sleep(3600)")
    pooler = make_pooler(1, pools=slow, client_login_timeout="1s")
    assert refusal(pooler, "ann") == "canceling authentication due to timeout"
    wait_for(lambda: all(each.state != "active" for each in pg.backends("asker")), "it is over")
    assert pooler.reload(asking()).returncode == 0
    assert refusal(pooler, "ann") == ""
