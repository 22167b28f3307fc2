"""The regression gate: what is counted, how it is compared, that a dearer relay is noticed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import budget
from benchmarks.budget import (
    Budgets,
    Cost,
    Totals,
    Verdict,
    cost_between,
    judge,
    read_budgets,
    read_totals,
    report,
    write_budgets,
)
from benchmarks.errors import BenchError

COST = Cost(instructions=4380, system_calls=4.05, allocations=0)
BUDGETS = Budgets("gcc 12", {"crowd.simple": COST})


@pytest.mark.parametrize(
    ("figure", "budget", "verdict"),
    [
        (4380, 4380, Verdict.WITHIN),
        (4467, 4380, Verdict.WITHIN),
        (4468, 4380, Verdict.ABOVE),
        (4293, 4380, Verdict.WITHIN),
        (4292, 4380, Verdict.BELOW),
        (0, 0, Verdict.WITHIN),
        (0.01, 0, Verdict.ABOVE),  # one allocation in a hundred transactions
        (4.13, 4.05, Verdict.WITHIN),
        (5.05, 4.05, Verdict.ABOVE),
    ],
)
def test_judge_leaves_two_per_cent(figure: float, budget: float, verdict: Verdict) -> None:
    assert judge(figure, budget) is verdict


def test_cost_is_what_the_long_run_has_more() -> None:
    short = Totals(transactions=1000, instructions=9_000_000, system_calls=5100, allocations=50)
    long = Totals(transactions=3000, instructions=17_000_400, system_calls=13_200, allocations=52)
    assert cost_between(short, long) == Cost(4000, 4.05, 0)


def test_totals_leave_out_the_calls_of_the_ends() -> None:
    lines = ["version: 1", "events: Ir sysCount sysTime", "fn=(1) main", "summary: 900 70 3"]
    totals = read_totals(lines, "transactions=10 allocations=2 others=30\n")
    assert totals == Totals(10, 900, 40, 2)


def test_budgets_survive_writing() -> None:
    budgets = replace(BUDGETS, costs={"alone.simple": Cost(4772, 6, 0), "crowd.simple": COST})
    assert read_budgets(write_budgets(budgets)) == budgets


@pytest.mark.parametrize("text", ["", "compiler =", 'compiler = "gcc 12"\n[a.b]\nspeed = 1\n'])
def test_broken_budgets_are_an_error(text: str) -> None:
    with pytest.raises(BenchError, match=r"budgets\.toml cannot be read"):
        read_budgets(text)


def test_report_accepts_what_is_allowed() -> None:
    lines, good = report({"crowd.simple": COST}, BUDGETS)
    assert good
    assert lines[1].split() == ["crowd.simple", "4380", "4.05", "0"]


def test_report_names_what_is_above_and_what_is_below() -> None:
    lines, good = report({"crowd.simple": Cost(4600, 3.05, 0)}, BUDGETS)
    assert not good
    assert "4600 ABOVE 4380" in lines[1]
    assert "3.05 below 4.05" in lines[1]


def test_report_misses_budgets_and_figures() -> None:
    lines, good = report({"crowd.extended": COST}, BUDGETS)
    assert not good
    assert "no budget" in lines[1]
    assert lines[2] == "crowd.simple: measured no more"


def test_committed_budgets_cover_every_case() -> None:
    committed = read_budgets(budget.BUDGETS.read_text())
    assert committed.costs.keys() == {
        f"{crowd.key}.{exchange}" for crowd, exchange in budget.cases_of_all()
    }
