"""packaging/prometheus and packaging/grafana ask for what a greenpool tells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.conftest import MakePooler
from tests.integration.harness.found import asking
from tests.integration.harness.metrics import Scrape, get, is_served
from tests.integration.harness.tls import House
from tests.integration.harness.waiting import wait_for

ROOT = Path(__file__).parents[2]
RULES = ROOT / "packaging" / "prometheus" / "greenpool.rules.yml"
DASHBOARD = ROOT / "packaging" / "grafana" / "greenpool.json"

_SELECTOR = re.compile(r"(greenpool_\w+)\s*(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")
# Prometheus's own: every series has them once it is scraped.
_SCRAPED = frozenset(("instance", "job"))


@pytest.fixture
def text(make_pooler: MakePooler, house: House) -> str:
    """A scrape of a greenpool of which everything can be told."""
    limits = {"max_db_connections": 8, "reserve_pool_size": 2}
    pooler = make_pooler(1, pools=asking(limits), web=True, **house.asking())
    with pooler.connect() as connection:
        connection.execute("select 1")
    wait_for(lambda: is_served(pooler), "the observer answers")
    return get(pooler, "/metrics").text


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard_expressions() -> Iterator[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    for variable in dashboard["templating"]["list"]:
        yield variable["query"]


def check(expression: str, scrape: Scrape) -> None:
    """Expect every series, label and value that an expression names to be in the scrape."""
    labels: set[str] = set()
    for name, selector in _SELECTOR.findall(expression):
        has = [labels for each, labels, _ in scrape.samples if each == name]
        assert has, f"{name} in {expression}"
        labels |= {label for each in has for label in each}
        for label, operator, value in _MATCHER.findall(selector):
            if label in _SCRAPED:
                continue
            assert all(label in each for each in has), f"{name}{{{label}}} in {expression}"
            if "$" in value:
                continue
            told = {each[label] for each in has}
            wanted = set(value.split("|")) if operator == "=~" else {value}
            assert wanted <= told, f"{label} {wanted - told} of {name} in {expression}"
    for grouping in _GROUPING.findall(expression):
        assert {each.strip() for each in grouping.split(",")} <= labels | _SCRAPED, expression


def test_rules_and_dashboard_ask_for_what_is_told(text: str) -> None:
    scrape = Scrape.of(text)
    for rule in rules():
        check(rule["expr"], scrape)
    expressions = list(dashboard_expressions())
    assert len(expressions) > 80
    for expression in expressions:
        check(expression, scrape)


def test_every_alert_says_what_where_and_how_bad() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert "$labels.instance" in rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_panels_of_the_dashboard_lie_side_by_side() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.parametrize(
    ("arguments", "is_scrape"), [(["check", "metrics"], True), (["check", "rules"], False)]
)
def test_promtool_is_content(text: str, arguments: list[str], is_scrape: bool) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    files = [] if is_scrape else [str(RULES)]
    done = subprocess.run(
        [promtool, *arguments, *files],
        input=text if is_scrape else None,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
