"""Statements that a full server has to give up: closed in order, counted right, never missed."""

from __future__ import annotations

import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness import messages
from tests.integration.harness.metrics import scrape
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.wire import Message, Wire

pytestmark = ANY_POSTGRESQL

CACHE_SIZE = 4


@pytest.fixture
def pooler(make_pooler: MakePooler) -> Pooler:
    """Hide the fixture of that name: one server, which may hold few statements."""
    return make_pooler(
        1,
        pools={"app": {"users": [user(pool_size=1)]}},
        server_prepared_statements_cache_size=CACHE_SIZE,
    )


def _named(number: int) -> bytes:
    """Prepare `select number` under a name and execute it."""
    name = f"s{number}"
    return messages.parse(f"select {number}", name) + messages.bind((), name) + messages.execute()


def _held(wire: Wire) -> int:
    ((count,),) = wire.rows("select count(*) from pg_prepared_statements")
    assert count is not None
    return int(count)


def _sqlstates(replies: list[Message]) -> list[str]:
    return [each.fields["C"] for each in replies if each.kind == b"E"]


@pytest.mark.parametrize("separator", [messages.sync(), b""], ids=["syncs", "one sync"])
def test_the_bound_holds_in_pipelines(pooler: Pooler, separator: bytes) -> None:
    """What was on its way was not counted: each pipeline left a server with more than allowed."""
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login()
        for number in range(20):
            wire.send(_named(number), messages.sync())
            wire.read_until(b"Z")
        assert _held(wire) == CACHE_SIZE
        batch = separator.join(_named(number) for number in range(20, 40))
        wire.send(batch, messages.sync())
        for _ in range(20 if separator else 1):
            assert not _sqlstates(wire.read_until(b"Z"))
        # A pipeline that ends with one Sync exceeds the bound; what follows brings it down again.
        for number in range(40, 50):
            wire.send(_named(number), messages.sync())
            wire.read_until(b"Z")
        assert _held(wire) == CACHE_SIZE


def test_what_became_of_each_statement_is_counted(make_pooler: MakePooler) -> None:
    pooler = make_pooler(
        1,
        pools={"app": {"users": [user(pool_size=1)]}},
        server_prepared_statements_cache_size=CACHE_SIZE,
        web=True,
    )
    again = messages.parse("select 5", "five") + b"".join(
        messages.bind((), name) + messages.execute() for name in ("five", "s5")
    )
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login()
        for request in (*(_named(number) for number in range(6)), again):
            wire.send(request, messages.sync())
            assert not _sqlstates(wire.read_until(b"Z"))
    found = scrape(pooler)
    assert {
        name: sum(found.values(f"greenpool_{name}", database="app", user="app"))
        for name in ("client_parses_total", "server_parses_total", "binds_total")
    } == {"client_parses_total": 7, "server_parses_total": 6, "binds_total": 8}
    uses = {
        result: found.value("greenpool_prepared_uses_total", user="app", result=result)
        for result in ("hit", "miss")
    }
    assert uses == {"hit": 2, "miss": 6}
    assert found.value("greenpool_prepared_evictions_total", user="app") == 2
    assert found.value("greenpool_server_prepared_statements", user="app") == CACHE_SIZE
    stats = next(row for row in pooler.admin("show stats") if row["database"] == "app")
    assert (stats["total_client_parse_count"], stats["total_server_parse_count"]) == (7, 6)
    assert stats["total_bind_count"] == 8


def test_an_eviction_that_an_error_skips_did_not_happen(pooler: Pooler) -> None:
    """The Close was believed before it was confirmed: the next Parse met 42P05."""
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login()
        for number in range(CACHE_SIZE):
            wire.send(_named(number), messages.close(b"S", f"s{number}"), messages.sync())
            wire.read_until(b"Z")
        failing = messages.bind((), "nobody") + b"".join(_named(n) for n in range(10, 14))
        again = b"".join(_named(number) for number in range(CACHE_SIZE))
        wire.send(failing, messages.sync(), again, messages.sync())
        assert _sqlstates(wire.read_until(b"Z")) == ["26000"]
        replies = wire.read_until(b"Z")
        assert not _sqlstates(replies), _sqlstates(replies)
        rows = [each.values for each in replies if each.kind == b"D"]
        assert rows == [[str(number).encode()] for number in range(CACHE_SIZE)]
