"""What a scrape says of rows that are given: names, labels, values, both formats."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from greenpool.observe.families import CLIENT_REASONS, FAMILIES, SERVER_REASONS
from greenpool.observe.family import Kind
from greenpool.observe.http import Request
from greenpool.observe.pages import Pages
from greenpool.observe.times import BOUNDS_S
from greenpool.records import ErrorClass, Hold, Pin, Reason, Refusal, TimeKind
from tests.integration.harness.metrics import Scrape
from tests.unit.admin.samples import busy_segment, pool, worker
from tests.unit.observe.sights import TimedSegment, lookout, news_of

Ask = Callable[..., str]


@pytest.fixture
def segment() -> TimedSegment:
    return TimedSegment.of(busy_segment())


@pytest.fixture
def scrape(segment: TimedSegment, tmp_path: Path) -> Ask:
    pages = Pages(lookout(segment, news_of(tmp_path)).look)

    def ask(accept: str = "") -> str:
        return pages.answer(Request("GET", "/metrics", {"accept": accept})).body.decode()

    return ask


ALICE = {"database": "app", "user": "alice"}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_names_follow_prometheus(family) -> None:
    assert re.fullmatch(r"greenpool_[a-z_]+", family.name)
    assert (family.kind is Kind.COUNTER) == family.name.endswith("_total")
    assert not family.name.endswith(("_count", "_sum", "_bucket"))
    assert family.doc.endswith(".")
    assert "quantile" not in family.labels  # that is for summaries
    assert sum(each.name == family.name for each in FAMILIES) == 1
    if family.kind is Kind.HISTOGRAM:
        assert family.name.endswith("_seconds")


def test_every_family_is_told_in_both_formats(scrape: Ask) -> None:
    told = {family.name: family.type for family in parse_text(scrape())}
    better = scrape("application/openmetrics-text")
    assert better.endswith("# EOF\n")
    assert {each.name: each.type for each in parse_openmetrics(better)} == told
    assert told == {family.name.removesuffix("_total"): family.kind.value for family in FAMILIES}


def test_states_and_limits_are_those_of_the_rows(scrape: Ask) -> None:
    told = Scrape.of(scrape())
    for name, labels, value in (
        ("clients", {**ALICE, "state": "idle"}, 2),
        ("clients", {**ALICE, "state": "waiting"}, 1),
        ("servers", {**ALICE, "state": "being_canceled"}, 1),
        ("client_maxwait_seconds", ALICE, 2.000345678),
        ("pool_size", ALICE, 10),
        ("worker_restarts_total", {"worker": "1"}, 2),
        ("worker_busy_ratio", {"worker": "0"}, 0.42),
        ("clients_connected", {}, 4),
        ("clients_unpooled", {}, 0),
        ("clients_max", {}, 100),
        ("start_time_seconds", {}, 1_700_000_000.5),
        ("draining", {}, 0),
        ("config_last_reload_successful", {}, 1),
    ):
        assert told.value(f"greenpool_{name}", **labels) == value, name


def test_counters_carry_the_words_of_their_reasons(segment: TimedSegment, scrape: Ask) -> None:
    ends = tuple(range(len(Reason)))
    pins = tuple(range(10, 10 + len(Pin)))
    segment.pools = [pool(0, client_ends=ends, server_ends=ends, pins_of=pins, cl_pinned=pins)]
    segment.workers = [worker(0, refusals=tuple(range(len(Refusal))))]
    told = Scrape.of(scrape())
    for side, reasons in (("client", CLIENT_REASONS), ("server", SERVER_REASONS)):
        name = f"greenpool_{side}_disconnections_total"
        for reason in reasons:
            assert told.value(name, **ALICE, reason=reason.name.lower()) == reason
    assert told.value("greenpool_client_pins_total", **ALICE, reason="temp_table") == 12
    assert told.value("greenpool_clients_pinned", **ALICE, reason="lock") == 13
    assert told.value("greenpool_client_refusals_total", worker="0", reason="limit") == 2


def test_what_has_happened_is_counted(segment: TimedSegment, scrape: Ask) -> None:
    segment.happened = {0: 2, 6: 3, 9: 1}  # ready, process_died, upgraded
    counts = {"statements": 7, "idle_statements": 3, "moved_out": 6}
    segment.workers = [worker(0, visits=(9, 1, 2, 3, 4), **counts)]
    segment.pools = [pool(0, held=Hold.PAUSED, cl_pumped=5)]
    told = Scrape.of(scrape())
    for name, labels, value in (
        ("events_total", {"event": "ready"}, 2),
        ("events_total", {"event": "process_died"}, 3),
        ("events_total", {"event": "upgrade_failed"}, 0),
        ("upgrades_total", {"result": "done"}, 1),
        ("connections_accepted_total", {"worker": "0"}, 9),
        ("connections_total", {"worker": "0", "result": "in_vain"}, 1),
        ("connections_total", {"worker": "0", "result": "cancel"}, 4),
        ("worker_statements", {"worker": "0"}, 7),
        ("worker_statements_idle", {"worker": "0"}, 3),
        ("worker_client_moves_total", {"worker": "0", "direction": "out"}, 6),
        ("clients_pumped", ALICE, 5),
        ("pool_paused", ALICE, 1),
        ("pool_disabled", ALICE, 0),
    ):
        assert told.value(f"greenpool_{name}", **labels) == value, name


def test_statements_and_errors_are_counted_by_what_came_of_them(
    segment: TimedSegment, scrape: Ask
) -> None:
    errors = tuple(range(len(ErrorClass)))
    segment.pools = [pool(0, errors_of=errors, statement_hits=9, statement_misses=2, binds=7)]
    told = Scrape.of(scrape())
    for name, labels, value in (
        ("errors_total", {"class": "other"}, 0),
        ("errors_total", {"class": "40"}, ErrorClass.CLASS_40),
        ("errors_total", {"class": "XX"}, ErrorClass.CLASS_XX),
        ("prepared_uses_total", {"result": "hit"}, 9),
        ("prepared_uses_total", {"result": "miss"}, 2),
        ("binds_total", {}, 7),
    ):
        assert told.value(f"greenpool_{name}", **ALICE, **labels) == value, (name, labels)


def test_histogram_adds_up(segment: TimedSegment, scrape: Ask) -> None:
    segment.taken = {(TimeKind.QUERY, 0): [0, 3, 30, 30], (TimeKind.QUERY, 1): [300]}
    told = Scrape.of(scrape())
    bounds = ("0.0005", "0.001", "0.005", "0.025", "0.05", "+Inf")
    name = "greenpool_query_seconds_bucket"
    assert [told.value(name, **ALICE, le=bound) for bound in bounds] == [0, 1, 2, 2, 4, 4]
    assert told.value("greenpool_query_seconds_count", **ALICE) == 4
    assert told.value("greenpool_query_seconds_sum", **ALICE) == 0.063
    assert told.value("greenpool_worker_query_seconds_count", worker="0") == 5
    assert told.value("greenpool_worker_query_seconds_count", worker="1") == 0
    assert len(told.values("greenpool_wait_seconds_bucket", **ALICE)) == len(BOUNDS_S) + 1


def test_percentiles_are_there_while_there_are_times(segment: TimedSegment, scrape: Ask) -> None:
    name = "greenpool_query_recent_seconds"
    assert name not in Scrape.of(scrape()).names()
    segment.taken = {(TimeKind.QUERY, 0): [20] * 100}
    found = Scrape.of(scrape()).value(name, **ALICE, percentile="99")
    assert found == pytest.approx(0.021, abs=1e-6)


def test_names_that_are_no_text_do_not_break_a_scrape(segment: TimedSegment, scrape: Ask) -> None:
    segment.pools = [pool(0, database='a"b\\c\n\udcff', user="ü")]
    text = scrape()
    assert 'greenpool_pool_size{database="a\\"b\\\\c\\n\ufffd",user="ü"} 10.0' in text


def test_dead_worker_is_down_and_has_neither_load_nor_process(
    segment: TimedSegment, scrape: Ask
) -> None:
    segment.workers = [replace(worker(0, clients=5, busy_permille=900), alive=0)]
    told = Scrape.of(scrape())
    for name in ("up", "clients", "busy_ratio", "heartbeat_age_seconds"):
        assert told.value(f"greenpool_worker_{name}", worker="0") == 0
    assert not told.values("greenpool_process_open_fds", process="worker")
    assert told.value("greenpool_process_open_fds", process="observer") > 0


def test_no_secret_is_told(scrape: Ask) -> None:
    assert "hush-hush" not in scrape()
