"""What a worker believes of users, and when it asks; PostgreSQL is a function of the test."""

from __future__ import annotations

from dataclasses import replace

import gevent
import pytest
from gevent.event import Event as Flag

from greenpool.config import Config
from greenpool.protocol.errors import ClientError, Severity, SqlState
from greenpool.protocol.message import Message
from greenpool.tallies import Tally
from greenpool.worker import lookup as lookups
from greenpool.worker import probe
from greenpool.worker.lookup import PATIENCE_S, Lookup
from tests.unit.auth.test_auth_query import description, row
from tests.unit.worker.fakes import MD5_OF_ADA, FakedWorker

CONFIG = """
pools:
  shop:
    query_wait_timeout: 200ms
    auth_query: {query: "select $1", user: asker, workers: 2, min_interval: 1s, cache_ttl: 60s,
                 cache_failure_ttl: 10s}
"""
DOWN = ClientError(Severity.FATAL, SqlState.TOO_MANY_CONNECTIONS, "query_wait_timeout: hush")


class PostgreSQL:
    """Knows `secrets`; is down while `is_up` is not set, and slow while `may_answer` is not."""

    def __init__(self) -> None:
        self.secrets: dict[str, str | None] = {"ann": MD5_OF_ADA}
        self.asked: list[str] = []
        self.at_once = self.most = 0
        self.is_up = True
        self.may_answer = Flag()
        self.may_answer.set()


@pytest.fixture
def pg(monkeypatch: pytest.MonkeyPatch) -> PostgreSQL:
    pg = PostgreSQL()

    def answer(worker: object, entry: object, user: bytes) -> list[Message]:
        name = user.decode()
        pg.asked.append(name)
        pg.at_once += 1
        pg.most = max(pg.most, pg.at_once)
        try:
            pg.may_answer.wait()
            if not pg.is_up:
                raise DOWN
        finally:
            pg.at_once -= 1
        rows = [row(pg.secrets[name])] if name in pg.secrets else []
        return [description("passwd"), *rows]

    monkeypatch.setattr(probe, "answer", answer)
    monkeypatch.setattr(lookups, "request", lambda query, user: user.encode())
    return pg


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(FakedWorker, "now_s", staticmethod(lambda: clock.now_s))
    return clock


@pytest.fixture
def lookup(worker: FakedWorker) -> Lookup:
    lookup = worker.lookups.of("shop")
    assert lookup is not None
    return lookup


def total(worker: FakedWorker, tally: Tally) -> int:
    return worker.tallies.total(0, tally)


def test_young_answer_is_believed_and_an_old_one_asked_for_again(
    worker: FakedWorker, lookup: Lookup, pg: PostgreSQL, clock: Clock
) -> None:
    for name in ("ann", "stranger"):  # who exists and who does not, alike
        pg.asked.clear()
        first = lookup.find(name)
        clock.now_s += 0.9
        assert lookup.find(name).secret == first.secret
        assert pg.asked == [name]
        clock.now_s += 0.2
        lookup.find(name)
        assert pg.asked == [name, name]
        assert first.is_user == (name == "ann")
    expected = {Tally.CACHE_HITS: 2, Tally.CACHE_MISSES: 2, Tally.CACHE_REFETCHES: 2}
    assert {tally: total(worker, tally) for tally in expected} == expected
    assert total(worker, Tally.CACHE_ENTRIES) == 2


def test_name_of_the_lookups_own_pool_is_nobody(lookup: Lookup, pg: PostgreSQL) -> None:
    pg.secrets["(auth_query)"] = MD5_OF_ADA
    assert not lookup.find("(auth_query)").is_user


def test_broken_secret_fits_no_password(
    lookup: Lookup, pg: PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    pg.secrets["ann"] = "SCRAM-SHA-256$hush"
    answer = lookup.find("ann")
    assert (answer.is_user, answer.secret) == (True, None)
    assert 'user "ann": invalid SCRAM secret' in caplog.text
    assert "hush" not in caplog.text


@pytest.mark.parametrize(("name", "ttl_s"), [("ann", 60.0), ("stranger", 10.0)])
def test_old_answer_stands_in_for_its_time(
    lookup: Lookup, pg: PostgreSQL, clock: Clock, name: str, ttl_s: float
) -> None:
    known = lookup.find(name)
    pg.is_up = False
    clock.now_s += ttl_s - 0.1
    assert lookup.find(name).secret == known.secret
    clock.now_s += 0.2
    with pytest.raises(ClientError, match=f'cannot look up user "{name}"') as caught:
        lookup.find(name)
    assert caught.value.sqlstate == "08006"
    pg.is_up = True
    assert lookup.find(name).is_user == known.is_user


def test_nobody_waits_long_for_what_is_known(lookup: Lookup, pg: PostgreSQL, clock: Clock) -> None:
    lookup.find("ann")
    clock.now_s += 2
    pg.may_answer.clear()
    pg.secrets["ann"] = None
    with gevent.Timeout(PATIENCE_S + 1):
        assert lookup.find("ann").secret is not None
        clock.now_s += PATIENCE_S
        assert lookup.find("ann").secret is not None  # the question is under way since then
    assert pg.asked == ["ann", "ann"]
    pg.may_answer.set()
    gevent.sleep(0)
    gevent.sleep(0)
    assert lookup.find("ann").secret is None  # the late answer counts


def test_user_is_asked_about_once_at_a_time(lookup: Lookup, pg: PostgreSQL) -> None:
    pg.may_answer.clear()
    logins = [gevent.spawn(lookup.find, "ann") for _ in range(5)]
    gevent.sleep(0)
    logins[0].kill()  # whoever gives up takes nothing from the others
    pg.may_answer.set()
    gevent.joinall(logins[1:], timeout=30, raise_error=True)
    assert pg.asked == ["ann"]
    assert all(login.value.is_user for login in logins[1:])


def test_turns_are_bounded_and_waited_for_a_bounded_time(
    lookup: Lookup, pg: PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    pg.may_answer.clear()
    logins = [gevent.spawn(lookup.find, f"user{number}") for number in range(5)]
    refused = [login for login in logins[2:] if _is_refused(login)]
    assert len(refused) == 3
    pg.may_answer.set()
    gevent.joinall(logins[:2], timeout=30, raise_error=True)
    assert pg.most == 2
    assert "no server connection became free in time" in caplog.text


def _is_refused(login: gevent.Greenlet) -> bool:
    login.join(timeout=30)
    return isinstance(login.exception, ClientError)


def test_oldest_answers_go_first(
    worker: FakedWorker, lookup: Lookup, pg: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "MAX_ANSWERS", 3)
    for name in ("a", "b", "c", "d", "a"):
        lookup.find(name)
    assert pg.asked == ["a", "b", "c", "d", "a"]
    lookup.find("d")
    assert total(worker, Tally.CACHE_ENTRIES) == 3
    assert total(worker, Tally.CACHE_HITS) == 1


def test_error_that_nobody_expected_refuses_and_is_logged(
    lookup: Lookup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(probe, "answer", fail)
    with pytest.raises(ClientError, match="cannot look up"):
        lookup.find("ann")
    assert "a mistake" in caplog.text


def test_reload_forgets_what_another_question_brought(
    worker: FakedWorker, lookup: Lookup, config: Config
) -> None:
    worker.lookups.apply(config)
    assert worker.lookups.of("shop") is lookup
    shop = config.pools["shop"]
    assert shop.auth_query is not None
    other = replace(shop, auth_query=replace(shop.auth_query, query="another"))
    worker.lookups.apply(replace(config, pools={"shop": other}))
    assert worker.lookups.of("shop") is not lookup
    worker.lookups.apply(replace(config, pools={"shop": replace(shop, auth_query=None)}))
    assert worker.lookups.of("shop") is None
