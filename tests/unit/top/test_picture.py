"""Two readings make a picture: rates of databases, pools in order, the sums above them."""

from __future__ import annotations

import json

import pytest

from greenpool.admin.table import records
from greenpool.top.layout import text, to_json
from greenpool.top.picture import picture
from greenpool.top.wishes import Order
from tests.unit.top.readings import pool, reading, stats

POOLS = (
    pool("shop", "web", cl_active=12, cl_idle=10, sv_active=2, sv_idle=9),
    pool("shop", "app", cl_active=5, sv_active=5),
    pool("logs", "app", cl_waiting=3, cl_active=1, maxwait=1, maxwait_us=500_000, sv_active=1),
)


def test_rates_are_those_between_the_readings():
    before = reading(10.0, figures=(stats("shop", query_count=100, query_time=7000),))
    now = reading(12.0, figures=(stats("shop", query_count=150, query_time=57_000, sent=4096),))
    (row,) = records(picture(before, now, Order.NAME).tables["databases"])
    assert (row["queries_s"], row["query_ms"], row["out_kb_s"]) == (25.0, 1.0, 2.0)


def test_counters_that_went_back_or_are_new_stand_still():
    before = reading(10.0, figures=(stats("shop", query_count=100),))
    now = reading(11.0, figures=(stats("shop", query_count=3), stats("new", query_count=8)))
    rows = records(picture(before, now, Order.NAME).tables["databases"])
    assert [row["queries_s"] for row in rows] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("order", "first"),
    [
        (Order.WAITING, ("logs", "app")),
        (Order.ACTIVE, ("shop", "app")),
        (Order.SERVERS, ("shop", "web")),
        (Order.NAME, ("logs", "app")),
    ],
)
def test_pools_are_in_order(order: Order, first: tuple[str, str]):
    rows = records(picture(reading(1), reading(2, POOLS), order).tables["pools"])
    assert (rows[0]["database"], rows[0]["user"]) == first


def test_summary_counts_over_all_pools():
    shown = picture(reading(1), reading(2, POOLS), Order.NAME)
    assert shown.summary.startswith(
        "clients: 8 active, 3 waiting (the longest 1.5 s), 10 idle   servers: 8 active, 9 idle"
    )


def test_every_order_leads_to_the_next():
    assert [order.next for order in Order] == [*list(Order)[1:], Order.WAITING]


def test_text_and_json_have_every_table():
    shown = picture(reading(1), reading(2, POOLS), Order.NAME)
    above = [line.split()[0] for line in text(shown) if line.count("_") > 1 and "|" in line]
    assert above == ["worker", "database", "database"]
    assert list(json.loads(to_json(shown))) == ["workers", "databases", "pools"]
