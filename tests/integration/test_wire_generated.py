"""Random conversations, directly and through greenpool: Hypothesis looks for a difference.

GREENPOOL_EXAMPLES says how many a run tries (300). A difference is shrunk to its smallest form.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings

from tests.integration.conftest import MakePooler
from tests.integration.differential.conversation import play
from tests.integration.differential.difference import differences
from tests.integration.differential.generated import scripts
from tests.integration.differential.script import Script
from tests.integration.differential.stage import Stage, address_of, discard, pool_of
from tests.integration.harness.postgres import PostgreSQL

EXAMPLES = int(os.environ.get("GREENPOOL_EXAMPLES", "300"))


@pytest.mark.slow
@pytest.mark.timeout(120 + EXAMPLES)
def test_no_conversation_makes_a_difference(
    pg: PostgreSQL, database: str, make_pooler: MakePooler
) -> None:
    pooled = address_of(make_pooler(2, pools={database: pool_of(1)}), database)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        print_blob=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(script=scripts())
    def compare(script: Script) -> None:
        stage.reset()
        direct = play(script, stage.address)
        left = stage.contents()
        stage.reset()
        discard(pooled)
        heard = play(script, pooled)
        stage.assert_quiet()
        assert not differences(direct, heard, script.texts_differ)
        assert stage.contents() == left

    with Stage(pg, database) as stage:
        compare()
