"""The rules by which connections are shared out."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenpool.generate.sizing import Rules, budget, share_out
from tests.unit.generate.samples import role, server


@pytest.mark.parametrize(
    ("rules", "others", "to_share"),
    [
        (Rules(), 10, 85),
        (Rules(reserve=0), 0, 95),
        (Rules(reserve=50, overcommit=2.0), 50, 90),
        (Rules(reserve=500), 500, 1),
    ],
)
def test_budget_leaves_slots_to_superusers_and_others(rules: Rules, others: int, to_share: int):
    found = budget(server(superuser_slots=3, reserved_slots=2), rules)
    assert (found.for_superusers, found.for_others, found.to_share) == (5, others, to_share)


def test_pools_with_traces_are_served_first():
    found = server([role("app"), role("guest")], traces=[("shop", "app")], max_connections=40)
    sizes = share_out(found, found.access, Rules(largest=25))
    assert sizes == {("shop", "app"): 25, ("shop", "guest"): 8}


def test_limits_of_roles_and_databases_hold_over_all_their_pools():
    found = server([role("app", 5), role("web")], {"a": None, "b": 7})
    sizes = share_out(found, found.access, Rules())
    assert sizes["a", "app"] + sizes["b", "app"] == 5
    assert sizes["b", "app"] + sizes["b", "web"] == 7
    assert sizes["a", "web"] == 40


def test_every_pool_has_one_connection_even_where_there_are_too_few():
    found = server([role(f"u{number}") for number in range(20)], max_connections=10)
    assert set(share_out(found, found.access, Rules()).values()) == {1}


@given(
    limits=st.lists(st.none() | st.integers(1, 30), min_size=1, max_size=6),
    databases=st.lists(st.none() | st.integers(1, 30), min_size=1, max_size=4),
    max_connections=st.integers(10, 400),
    largest=st.integers(1, 60),
)
def test_sum_and_limits_hold_for_any_server(
    limits: list[int | None], databases: list[int | None], max_connections: int, largest: int
):
    roles = [role(f"u{number}", limit) for number, limit in enumerate(limits)]
    names = {f"d{number}": limit for number, limit in enumerate(databases)}
    found = server(roles, names, max_connections=max_connections)
    sizes = share_out(found, found.access, Rules(largest))
    assert sizes.keys() == {(each.database, each.role) for each in found.access}
    assert all(1 <= size <= largest for size in sizes.values())
    to_share = budget(found, Rules(largest)).to_share
    assert sum(sizes.values()) <= max(to_share, len(sizes))
    of_role: Counter[str] = Counter()
    of_database: Counter[str] = Counter()
    for (database, name), size in sizes.items():
        of_role[name] += size
        of_database[database] += size
    for each in found.roles:
        assert of_role[each.name] <= max(each.connection_limit or 10**6, len(names))
    for name, limit in names.items():
        assert of_database[name] <= max(limit or 10**6, len(roles))
