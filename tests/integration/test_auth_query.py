"""auth_query: whom PostgreSQL knows may log in, and what changes there counts at once."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.found import (
    MD5_TOO,
    asking,
    counts,
    log_in,
    pools_of,
    refusal,
    value,
    whoami,
    wrong_password,
)
from tests.integration.harness.metrics import scrape
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.programs import PASSWORD
from tests.integration.harness.waiting import wait_for

pytestmark = pytest.mark.usefixtures("found_users")


def log_in_everywhere(pooler: Pooler, name: str, password: str) -> None:
    """Log in until every worker has let the user in."""
    with ExitStack() as stack:  # all of them stay: newcomers go elsewhere

        def is_everywhere() -> bool:
            stack.enter_context(log_in(pooler, name, password))
            rows = pooler.admin("show clients")
            return len({row["worker"] for row in rows if row["user"] == name}) == pooler.workers

        wait_for(is_everywhere, "all workers have let the user in")


def test_found_users_log_in_as_themselves(make_pooler: MakePooler, workers: int) -> None:
    pooler = make_pooler(workers, pools=asking())
    for name in ("ann", "bob", "ann", "app"):
        with log_in(pooler, name) as connection:
            assert whoami(connection) == name
    assert set(pools_of(pooler)) == {"app", "ann", "bob", "(auth_query)"}
    assert "SCRAM-SHA-256$" not in pooler.log()
    assert PASSWORD not in pooler.log()


def test_others_are_refused_alike(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1, pools=asking())
    for name, password in (
        ("ann", "wrong"),
        ("stranger", PASSWORD),
        ("nobody", PASSWORD),  # has no password
        ("postgres", PASSWORD + "x"),
        ("(auth_query)", PASSWORD),
        ("pg_read_all_data", PASSWORD),  # may not log in
    ):
        assert refusal(pooler, name, password) == wrong_password(name)
    assert counts(pooler)["auth_failure"] == 6
    assert counts(pooler)["dynamic_pools"] == 0


def test_user_past_its_time_is_refused(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = make_pooler(1, pools=asking(min_interval=0))
    assert refusal(pooler, "ann") == ""
    pg.sql("alter role ann valid until 'yesterday'")
    assert refusal(pooler, "ann") == wrong_password("ann")
    pg.sql("alter role ann valid until 'tomorrow'")
    assert refusal(pooler, "ann") == ""


def test_changed_password_counts_from_the_next_login_on(
    make_pooler: MakePooler, pg: PostgreSQL, workers: int
) -> None:
    pooler = make_pooler(workers, pools=asking(min_interval=0))
    log_in_everywhere(pooler, "ann", PASSWORD)
    with log_in(pooler, "ann") as old:
        pg.sql("alter role ann password 'fresh'")
        pg.terminate("ann")  # what is opened now takes the new password
        for _ in range(2 * workers):
            assert refusal(pooler, "ann", PASSWORD) == wrong_password("ann")
        log_in_everywhere(pooler, "ann", "fresh")
        with log_in(pooler, "ann", "fresh") as connection:
            assert whoami(connection) == "ann"
        assert whoami(old) == "ann"  # is in, and stays


def test_changed_password_is_noticed_after_min_interval(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    pooler = make_pooler(1, pools=asking(min_interval="2s"))
    assert refusal(pooler, "ann") == ""
    pg.sql("alter role ann password 'fresh'")
    assert refusal(pooler, "ann", PASSWORD) == ""  # not asked again so soon
    assert refusal(pooler, "ann", "fresh") == wrong_password("ann")
    row = counts(pooler)
    assert (row["executor_queries"], row["cache_hits"], row["rate_limited"]) == (1, 2, 1)
    wait_for(lambda: refusal(pooler, "ann", "fresh") == "", "the new password is known")
    assert refusal(pooler, "ann", PASSWORD) == wrong_password("ann")
    assert counts(pooler)["cache_refetches"] == 1


def test_dropped_and_new_roles_are_noticed(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pooler = make_pooler(1, pools=asking(min_interval=0))
    assert refusal(pooler, "bob") == ""
    pg.sql("drop role bob")
    assert refusal(pooler, "bob") == wrong_password("bob")
    pg.sql(f"create role bob login password '{PASSWORD}'")
    assert refusal(pooler, "bob") == ""


def test_md5_secret_is_asked_for_and_passed_on(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    pg.set_hba(MD5_TOO)
    pooler = make_pooler(2, pools=asking(min_interval=0))
    for _ in range(3):
        with log_in(pooler, "old_md5") as connection:
            assert whoami(connection) == "old_md5"
    pg.sql("set password_encryption = 'scram-sha-256'; alter role old_md5 password 'scram'")
    pg.terminate("old_md5")
    with log_in(pooler, "old_md5", "scram") as connection:
        assert whoami(connection) == "old_md5"


def test_startup_parameters_are_what_a_client_begins_with(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    settings = """{"work_mem": "5MB", "application_name": "of ann"}"""
    pg.sql("insert into settings_of values ('ann', %s)", [settings], database="app")
    pooler = make_pooler(1, pools=asking(min_interval=0))
    with log_in(pooler, "ann") as ann, log_in(pooler, "bob") as bob:
        assert value(ann, "show work_mem") == "5MB"
        assert ann.info.parameter_status("application_name") == "of ann"
        ann.execute("set work_mem = '6MB'")
        ann.execute("reset all")
        assert value(ann, "show work_mem") == "5MB"
        assert value(bob, "show work_mem") == "4MB"
    told = pooler.admin("SHOW STARTUP_PARAMETERS")
    assert {(row["user"], row["parameter"], row["value"], row["source"]) for row in told} == {
        ("ann", "work_mem", "5MB", "auth_query"),
        ("ann", "application_name", "of ann", "auth_query"),
    }
    with log_in(pooler, "ann", application_name="mine") as ann:
        assert value(ann, "show application_name") == "mine"
        assert value(ann, "show work_mem") == "5MB"
    pg.sql("""update settings_of set settings = '{"work_mem": "much"}'""", database="app")
    assert refusal(pooler, "ann").startswith('invalid value for parameter "work_mem": "much"')


def test_rule_that_trusts_lets_in_whom_postgresql_knows(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    rule = "host all all 127.0.0.1/32 trust\n"
    pg.set_hba(rule)
    pooler = make_pooler(1, pools=asking(), pg_hba=rule)
    with log_in(pooler, "nobody", "whatever") as connection:
        assert whoami(connection) == "nobody"
    assert refusal(pooler, "stranger") == 'role "stranger" does not exist'


def test_cleartext_rule_passes_on_what_it_has_seen(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1, pools=asking(), pg_hba="host all all 127.0.0.1/32 password\n")
    with log_in(pooler, "ann") as connection:
        assert whoami(connection) == "ann"
    assert refusal(pooler, "ann", "wrong") == wrong_password("ann")


def test_user_is_asked_about_once_for_all_who_come_together(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2, pools=asking(min_interval="1m"), web=True)
    threads = [threading.Thread(target=refusal, args=(pooler, "ann")) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    row = counts(pooler)
    assert row["auth_success"] == 20
    assert 1 <= row["executor_queries"] <= 2  # once in each worker
    assert refusal(pooler, "stranger") == wrong_password("stranger")
    assert counts(pooler)["cache_unknown"] == 1
    assert _told(pooler, "cache_entries", answer="unknown") == [1]
    assert _told(pooler, "cache_entries", answer="found") == [row["cache_entries"]]
    assert sum(_told(pooler, "cache_lookups_total")) == 21
    assert _told(pooler, "logins_total") == [20, 1]
    assert _told(pooler, "questions_total") == [row["executor_queries"] + 1]
    assert _told(pooler, "errors_total") == _told(pooler, "pools_destroyed_total") == [0]


def _told(pooler: Pooler, name: str, **labels: str) -> list[float]:
    """Return what a scrape says of it, by the order of its labels."""
    return scrape(pooler).values(f"greenpool_auth_query_{name}", database="app", **labels)


def test_workers_bounds_the_connections_that_ask(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    slow = "select passwd from look_up($1), pg_sleep(0.1)"
    pooler = make_pooler(2, pools=asking(query=slow, workers=1))
    names = [f"stranger_{number}" for number in range(8)]
    threads = [threading.Thread(target=refusal, args=(pooler, name)) for name in names]
    for thread in threads:
        thread.start()
    most = 0
    while any(thread.is_alive() for thread in threads):
        most = max(most, len(pg.backends("asker")))
    assert most == 1
    assert counts(pooler)["auth_failure"] == 8
