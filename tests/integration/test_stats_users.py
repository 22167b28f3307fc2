"""Users of the console who may look and not touch, as real clients meet them."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import Pooler

WATCHER = {"username": "watcher", "password": "watch-out"}


def console(pooler: Pooler, password: str = "watch-out") -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=pooler.host,
        port=pooler.port,
        dbname="pgbouncer",
        user="watcher",
        password=password,
        autocommit=True,
        connect_timeout=10,
    )


def test_a_watcher_may_look_and_not_touch(make_pooler: MakePooler) -> None:
    """Not even where a rule trusts everybody is the password spared."""
    pooler = make_pooler(1, stats_users=[WATCHER], pg_hba="host all all all trust")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        console(pooler, "wrong")
    with console(pooler) as watcher:
        assert watcher.execute("SHOW POOLS").fetchall()
        with pytest.raises(errors.InsufficientPrivilege, match="admin access needed"):
            watcher.execute("PAUSE")
        with pytest.raises(errors.InsufficientPrivilege):
            watcher.execute("SHOW FDS")
    assert {row["paused"] for row in pooler.admin("SHOW POOLS")} == {0}
