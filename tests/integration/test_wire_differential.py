"""Every script of tests/integration/differential, directly and through greenpool: no difference."""

from __future__ import annotations

import pytest

from tests.integration.conftest import MakePooler
from tests.integration.differential import copying, deallocation, edges, extended, simple
from tests.integration.differential.conversation import Address, play
from tests.integration.differential.difference import differences
from tests.integration.differential.script import Script
from tests.integration.differential.stage import Stage, address_of, playable, pool_of
from tests.integration.harness.postgres import PostgreSQL

GROUPS: dict[str, list[Script]] = {
    "simple": simple.QUERIES + simple.FUNCTIONS,
    "transactions": simple.TRANSACTIONS,
    "news": simple.NEWS,
    "extended": extended.REQUESTS + extended.PORTALS + extended.FLUSHES,
    "deallocation": deallocation.REQUESTS,
    "errors": extended.ERRORS,
    "pipelines": extended.PIPELINES,
    "copy": copying.OUT + copying.IN + copying.FAILING,
    "sizes": edges.SIZES,
    "goodbyes": edges.GOODBYES,
    "broken": edges.BROKEN,
}


def test_scripts_have_names_of_their_own() -> None:
    names = [script.name for scripts in GROUPS.values() for script in scripts]
    assert len(names) >= 80
    for scripts in GROUPS.values():
        assert len({each.name for each in scripts}) == len(scripts)


ARRANGEMENTS = {
    (15, "narrow"): (1, pool_of(1)),
    (15, "wide"): (2, pool_of(4)),
    (18, "narrow"): (2, pool_of(1)),
    (18, "wide"): (2, pool_of(4, "session")),
}
"""Workers and pool, by PostgreSQL's version and how much room there is."""


@pytest.mark.timeout(180)
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("room", ["narrow", "wide"])
def test_greenpool_answers_as_postgresql_does(
    pg: PostgreSQL, database: str, make_pooler: MakePooler, group: str, room: str
) -> None:
    workers, pool = ARRANGEMENTS[pg.major, room]
    pooler = make_pooler(workers, pools={database: pool})
    pool_size = 1 if room == "narrow" else 4
    with Stage(pg, database) as stage:
        found = [
            f"{script.name}: {each}"
            for script in playable(GROUPS[group], pool_size)
            for each in _compare(script, stage, address_of(pooler, database))
        ]
    assert not found, "\n".join(found)
    assert len(pg.backends("app", database)) <= pool_size


def _compare(script: Script, stage: Stage, pooled: Address) -> list[str]:
    """Play it at both addresses; say what differs in the replies and in what is left behind."""
    heard, left = [], []
    for address in (stage.address, pooled):
        stage.reset()
        heard.append(play(script, address))
        stage.assert_quiet()
        left.append(stage.contents())
    found = differences(heard[0], heard[1], script.texts_differ)
    if left[0] != left[1]:
        found.append(f"left {left[1]} in the table instead of {left[0]}")
    return found
