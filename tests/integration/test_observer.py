"""The observer: what it tells is what the console tells, whatever the workers do meanwhile."""

from __future__ import annotations

import os
import signal
import socket
from datetime import UTC, datetime, timedelta

import psutil
import psycopg
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.crowd import Crowd
from tests.integration.harness.metrics import get, is_served, scrape
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.tls import House
from tests.integration.harness.waiting import wait_for

pytestmark = ANY_POSTGRESQL

POOL = {"database": "app", "user": "app"}


@pytest.fixture
def pooler(make_pooler: MakePooler) -> Pooler:
    pooler = make_pooler(2, web=True, **QUIET)
    wait_for(lambda: is_served(pooler), "the observer answers")
    return pooler


def _is_at_rest(pooler: Pooler) -> bool:
    """Whether no server works, or logs in for clients that have been served meanwhile."""
    pool = next(row for row in pooler.admin("show pools") if row["database"] == "app")
    return pool["sv_login"] == pool["sv_active"] == 0


def _observer_pid(pooler: Pooler) -> int:
    """Return the pid of the master's child that is no worker."""
    workers = {row["pid"] for row in pooler.admin("show workers")}
    return (set(pooler.worker_pids()) - workers).pop()


def test_figures_are_those_of_the_console(pooler: Pooler) -> None:
    with Crowd(pooler, "select 1") as crowd:
        crowd.join(8)
        crowd.start()
        crowd.wait_for_turns(20)
        during = scrape(pooler)
        crowd.stop()
        wait_for(lambda: _is_at_rest(pooler), "all servers are idle")
        assert during.value("greenpool_transactions_total", **POOL) > 0
        found = scrape(pooler)
        stats = next(row for row in pooler.admin("show stats") if row["database"] == "app")
        pool = next(row for row in pooler.admin("show pools") if row["database"] == "app")
    for name, column in (
        ("transactions_total", "total_xact_count"),
        ("queries_total", "total_query_count"),
        ("received_bytes_total", "total_received"),
        ("sent_bytes_total", "total_sent"),
        ("server_logins_total", "total_server_login_count"),
        ("query_seconds_count", "total_query_count"),
        ("transaction_seconds_count", "total_xact_count"),
        ("wait_seconds_count", "total_wait_count"),
    ):
        assert found.value(f"greenpool_{name}", **POOL) == stats[column], name
    assert sum(found.values("greenpool_errors_total", **POOL)) == stats["total_error_count"]
    for name, column in (
        ("query_seconds_sum", "total_query_time"),
        ("transaction_seconds_sum", "total_xact_time"),
        ("wait_seconds_sum", "total_wait_time"),
    ):
        assert int(found.value(f"greenpool_{name}", **POOL) * 1e6 + 1e-6) == stats[column], name
    assert found.value("greenpool_clients", **POOL, state="idle") == 8
    assert pool["cl_active"] == 8
    assert found.value("greenpool_servers", **POOL, state="idle") == pool["sv_idle"]
    assert found.value("greenpool_pool_size", **POOL) == 10
    by_worker = found.values("greenpool_worker_query_seconds_count")
    assert len(by_worker) == 2
    assert sum(by_worker) == sum(found.values("greenpool_query_seconds_count"))
    assert (
        found.value("greenpool_query_seconds_bucket", **POOL, le="+Inf")
        == (stats["total_query_count"])
    )
    assert found.value("greenpool_query_recent_seconds", **POOL, percentile="99") > 0


def test_a_slow_query_is_counted_where_it_belongs(pooler: Pooler) -> None:
    with pooler.connect() as connection:
        connection.execute("select pg_sleep(0.3)")
    found = scrape(pooler)

    def under(bound: str) -> float:
        return found.value("greenpool_transaction_seconds_bucket", **POOL, le=bound)

    assert under("+Inf") - under("0.25") == 1
    assert under("+Inf") - under("2.5") == 0
    assert 0.3 <= found.value("greenpool_transaction_recent_seconds", **POOL, percentile="99") < 2.5


def test_scrape_needs_no_worker(pooler: Pooler) -> None:
    pids = [row["pid"] for row in pooler.admin("show workers")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert scrape(pooler).values("greenpool_worker_up") == [1, 1]
        assert get(pooler, "/healthz").status == 200
        wait_for(lambda: get(pooler, "/readyz").status == 503, "nobody is at work")
        assert get(pooler, "/readyz").text == "no worker is at work\n"
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: is_served(pooler, "/readyz"), "they are at work again")


def test_killed_observer_comes_back_and_nobody_else_notices(pooler: Pooler) -> None:
    with pooler.connect() as connection:
        before = _observer_pid(pooler)
        with pooler.log_contains(r"observer \(pid \d+\) was killed by SIGKILL: another follows"):
            os.kill(before, signal.SIGKILL)
        wait_for(lambda: is_served(pooler), "another answers")
        assert _observer_pid(pooler) != before
        assert connection.execute("select 1").fetchone() == (1,)
    assert scrape(pooler).values("greenpool_worker_restarts_total") == [0, 0]


def test_killed_worker_is_seen(pooler: Pooler) -> None:
    os.kill(pooler.admin("show workers")[0]["pid"], signal.SIGKILL)
    name = "greenpool_worker_restarts_total"
    wait_for(lambda: scrape(pooler).value(name, worker="0") == 1, "the restart is counted")


def test_observer_of_the_new_generation_takes_over_at_an_upgrade(pooler: Pooler) -> None:
    name = "greenpool_client_logins_total"
    with pooler.connect() as connection:
        connection.execute("select 1")
        before, elder = scrape(pooler), _observer_pid(pooler)
        done = pooler.upgrade()
        assert done.returncode == 0, done.stderr
        assert get(pooler, "/healthz").status == 200
        wait_for(lambda: not psutil.pid_exists(elder), "the old observer has ended")
        after = scrape(pooler)
        assert after.value(name, **POOL) >= before.value(name, **POOL) > 0
        connection.execute("select 1")
    wait_for(lambda: not pooler.elders(), "the old generation has ended")
    assert get(pooler, "/readyz").text == "2 of 2 workers are at work\n"
    start = "greenpool_start_time_seconds"
    found = scrape(pooler)
    assert found.value(start) == pytest.approx(before.value(start), abs=0.1)
    assert found.value("greenpool_transactions_total", **POOL) >= 2
    assert found.values("greenpool_worker_up") == [1, 1]


def test_observer_does_not_hold_the_clients_port(pooler: Pooler) -> None:
    """A stopped greenpool refuses clients at once, while the observer still says so."""
    with pooler.connect() as connection:
        connection.execute("begin; select 1")
        os.kill(pooler.master_pid, signal.SIGTERM)
        wait_for(lambda: get(pooler, "/readyz").status == 503, "it is not ready any more")
        assert get(pooler, "/readyz").text == "greenpool is stopping\n"
        assert get(pooler, "/healthz").status == 200
        assert scrape(pooler).value("greenpool_draining") == 1
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((pooler.host, pooler.port), timeout=5)
        connection.execute("commit")


def test_refusals_and_ends_are_counted_by_reason(pooler: Pooler) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        pooler.connect(password="wrong")
    with pytest.raises(psycopg.errors.SyntaxError), pooler.connect() as connection:
        connection.execute("selec 1")
    name = "greenpool_client_disconnections_total"
    gone = {**POOL, "reason": "client_terminate"}
    wait_for(lambda: scrape(pooler).value(name, **gone) == 1, "the end is counted")
    found = scrape(pooler)
    assert sum(found.values("greenpool_client_refusals_total", reason="identity")) == 1
    assert sum(found.values("greenpool_client_refusals_total", reason="limit")) == 0
    assert found.value("greenpool_errors_total", **POOL, **{"class": "42"}) == 1
    assert sum(found.values("greenpool_errors_total", **POOL)) == 1
    assert found.value("greenpool_client_logins_total", **POOL) >= 1


def test_pool_that_cannot_log_in_is_told_and_readiness_stays(make_pooler: MakePooler) -> None:
    users = [user(), user("nobody", server_username="nobody")]
    pooler = make_pooler(1, pools={"app": {"users": users}}, web=True, query_wait_timeout="1s")
    with pytest.raises(psycopg.OperationalError):
        pooler.connect("nobody")
    labels = {"database": "app", "user": "nobody"}
    found = scrape(pooler)
    assert found.value("greenpool_pool_login_failing", **labels) == 1
    assert found.value("greenpool_server_login_failures_total", **labels) > 0
    ready = get(pooler, "/readyz")
    assert ready.status == 200
    assert 'pool "app", user "nobody": the last login at PostgreSQL failed' in ready.text


def test_certificates_follow_reloads(make_pooler: MakePooler, house: House) -> None:
    name = "greenpool_certificate_not_after_timestamp_seconds"
    pooler = make_pooler(1, web=True, **house.asking())
    wait_for(lambda: is_served(pooler), "the observer answers")

    def days_left(use: str) -> float:
        now = datetime.now(UTC).timestamp()
        return (scrape(pooler).value(name, use=use) - now) / 86400

    assert days_left("client") == pytest.approx(30, abs=0.1)
    assert days_left("client_authority") == pytest.approx(60, abs=0.1)
    renewed = house.issue_server(valid=timedelta(days=90))
    assert pooler.reload(**house.settings(renewed)).returncode == 0
    wait_for(lambda: days_left("client") > 89, "the new certificate is told")
    before = scrape(pooler).value("greenpool_config_last_reload_timestamp_seconds")
    assert pooler.reload(tls_certificate="/nowhere").returncode != 0
    wait_for(
        lambda: scrape(pooler).value("greenpool_config_last_reload_successful") == 0,
        "the failure is told",
    )
    found = scrape(pooler)
    assert found.value("greenpool_config_last_reload_timestamp_seconds") > before
    assert days_left("client") > 89


def test_openmetrics_and_gzip_are_had_for_the_asking(pooler: Pooler) -> None:
    plain = get(pooler, "/metrics")
    assert plain.fields["content-type"].startswith("text/plain; version=0.0.4")
    better = get(pooler, "/metrics", Accept="application/openmetrics-text;version=1.0.0,*/*;q=0.1")
    assert better.fields["content-type"].startswith("application/openmetrics-text")
    names = {family.name for family in openmetrics(better.text)}
    assert {"greenpool_transactions", "greenpool_query_seconds"} <= names
    packed = get(pooler, "/metrics", Accept_Encoding="gzip")
    assert packed.fields["content-encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 5
    assert get(pooler, "/metrics", method="HEAD").body == b""
    assert get(pooler, "/metrics", method="POST").status == 405
    assert get(pooler, "/").status == 404


def test_without_web_there_is_no_observer(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1)
    assert pooler.worker_pids() == [row["pid"] for row in pooler.admin("show workers")]
