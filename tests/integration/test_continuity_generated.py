"""Six clients with random sessions over three servers and two workers: who looks sees no pooler.

GREENPOOL_EXAMPLES says how many sequences a run tries (200). What fails is shrunk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.sessions.actions import FREE, FUNCTIONS, HOLDING, LOOK, PROBES, RESETS
from tests.integration.sessions.pair import Pair, Session

EXAMPLES = int(os.environ.get("GREENPOOL_EXAMPLES", "200"))
CLIENTS = 6
HOLDERS = 2
WISHES = ("-c work_mem=77MB -c timezone=america/lima", "-c app.x=begun -c datestyle=sql")
PACKED = 24
"""Clients that a worker takes before the next one gets any."""


_settings = settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@dataclass(frozen=True, slots=True)
class Step:
    """One client says one text."""

    client: int
    text: str
    extended: bool


def steps_of(holders: set[int]) -> st.SearchStrategy[list[Step]]:
    anyones = FREE + RESETS + PROBES
    free = st.builds(
        Step, st.integers(0, CLIENTS - 1), st.sampled_from(anyones), st.just(False)
    ) | st.builds(
        Step,
        st.integers(0, CLIENTS - 1),
        st.sampled_from([text for text in anyones if ";" not in text or text.startswith("do")]),
        st.just(True),
    )
    holding = st.builds(
        Step, st.sampled_from(sorted(holders)), st.sampled_from(HOLDING), st.booleans()
    )
    steps = (free | holding).filter(lambda step: not is_left_out(step, holders))
    return st.lists(steps, max_size=25)


def is_left_out(step: Step, holders: set[int]) -> bool:
    """Whether it is one of the limits of docs/sessions.md: RESET of what the startup packet said,
    within a transaction or beside a setting like app.x."""
    return step.text in RESETS and step.client in holders and bool(wish_of(step.client))


sequences = st.sets(st.integers(0, CLIENTS - 1), min_size=HOLDERS, max_size=HOLDERS).flatmap(
    steps_of
)


@pytest.mark.slow
@pytest.mark.timeout(120 + 2 * EXAMPLES)
def test_sessions_are_those_of_direct_connections(
    pg: PostgreSQL, database: str, make_pooler: MakePooler
) -> None:
    pools = {database: {"users": [user(pool_size=3)]}}
    pooler = make_pooler(2, pools=pools, **QUIET)

    @_settings
    @given(steps=sequences)
    def compare(steps: list[Step]) -> None:
        for pair in pairs:
            pair.begin_anew()
        for step in steps:
            pair = pairs[step.client]
            pair.say(step.text, step.extended)
            pair.look(LOOK)
        for pair in pairs:
            pair.look(LOOK, extended=True)

    with grants(pg), six_pairs(pg, database, pooler) as pairs:
        compare()


anything = st.lists(
    st.builds(
        Step,
        st.integers(0, 1),
        st.sampled_from(FREE + RESETS + HOLDING + PROBES),
        st.booleans(),
    ),
    max_size=15,
)


@pytest.mark.slow
@pytest.mark.timeout(120 + 2 * EXAMPLES)
def test_reset_mode_shows_nobody_what_others_did(
    pg: PostgreSQL, database: str, make_pooler: MakePooler
) -> None:
    pool = {"session_state": "reset", "users": [user(pool_size=1)]}
    pooler = make_pooler(1, pools={database: pool}, **QUIET)

    @_settings
    @given(steps=anything)
    def nothing_is_seen(steps: list[Step]) -> None:
        for step in steps:
            actor = actors[step.client]
            if witnesses_may_look(actors, actor):
                actor.say(step.text, step.extended)
            if witnesses_may_look(actors):
                assert [witness.say(LOOK) for witness in witnesses] == pristine
        for actor in actors:
            actor.say("rollback")

    def witnesses_may_look(actors: list[Session], but: Session | None = None) -> bool:
        """Whether no actor (but this one) has the one server in its transaction."""
        return all(each is but or each.is_idle for each in actors)

    define(pg, database)
    with grants(pg):
        actors = [Session(pooler.dsn("app", database), wish) for wish in ("", WISHES[0])]
        witnesses = [Session(pooler.dsn("app", database), wish) for wish in ("", *WISHES)]
        pristine = [witness.say(LOOK) for witness in witnesses]
        try:
            nothing_is_seen()
        finally:
            for session in (*actors, *witnesses):
                session.close()


def define(pg: PostgreSQL, database: str) -> None:
    with pg.connect("app", database) as connection:
        connection.execute(FUNCTIONS.encode())


def wish_of(client: int) -> str:
    return ("", *WISHES)[client % 3]


@contextmanager
def grants(pg: PostgreSQL) -> Iterator[None]:
    pg.sql("grant app_trust to app")
    yield
    pg.sql("revoke app_trust from app")


@contextmanager
def six_pairs(pg: PostgreSQL, database: str, pooler: Pooler) -> Iterator[list[Pair]]:
    """Connect six clients twice, three to each worker. Direct ones have a database of their own."""
    other = pg.create_database()
    for each in (database, other):
        define(pg, each)
    pairs: list[Pair] = []
    packing: list[Session] = []
    try:
        for number in range(CLIENTS):
            if number == CLIENTS // 2:
                packing = [Session(pooler.dsn("app", database)) for _ in range(PACKED)]
            wish = wish_of(number)
            pooled = Session(pooler.dsn("app", database), wish)
            pairs.append(Pair(Session(pg.dsn("app", other), wish), pooled))
        yield pairs
    finally:
        for pair in pairs:
            pair.close()
        for session in packing:
            session.close()
        pg.drop_database(other)
