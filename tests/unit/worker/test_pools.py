"""The directory of pools: what is found, what a reload keeps and what it takes away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gevent
import pytest

from greenpool.auth.secret import Md5Hash, PlainPassword, PlainSecret, ScramKeys
from greenpool.config import Config
from greenpool.worker.keys import KeyCache
from greenpool.worker.notes import NoteBoard
from greenpool.worker.pools import PoolDirectory, PoolEntry
from tests.unit.worker.fakes import MD5_OF_ADA, FakeSegment, indices_of

KEYS = ScramKeys(b"c" * 32, b"s" * 32)


@pytest.fixture
def pools(config: Config) -> PoolDirectory:
    return directory(config, FakeSegment())


def directory(config: Config, segment: FakeSegment, worker: int = 0) -> PoolDirectory:
    pools = PoolDirectory(NoteBoard(segment, worker, b"s" * 32))
    pools.apply(config, indices_of(config))
    return pools


def at(pools: PoolDirectory, database: str, user: str) -> PoolEntry:
    entry = pools.find(database, user)
    assert entry is not None
    return entry


def changed_user(config: Config, user: str, **fields: Any) -> Config:
    shop = config.pools["shop"]
    users = {**shop.users, user: replace(shop.users[user], **fields)}
    return replace(config, pools={**config.pools, "shop": replace(shop, users=users)})


def test_pools_are_found_by_name_by_place_and_by_user(pools: PoolDirectory):
    entry = at(pools, "shop", "bob")
    assert pools.at(entry.index) is entry
    assert pools.of_user("bob") is entry.verifier
    assert str(entry) == "bob@shop"
    assert pools.has_database("shop")
    assert (pools.find("till", "bob"), pools.of_user("eve"), pools.at(99)) == (None, None, None)


def test_user_of_several_pools_is_the_first_ones(pools: PoolDirectory):
    assert pools.of_user("ada") is at(pools, "shop", "ada").verifier


def test_same_configuration_keeps_what_was_learned(pools: PoolDirectory, config: Config):
    entry = at(pools, "shop", "ada")
    entry.learn({"TimeZone": "UTC"})
    assert pools.apply(config, indices_of(config)) == []
    assert pools.find("shop", "ada") is entry


def test_changed_pool_forgets_what_servers_said(pools: PoolDirectory, config: Config):
    at(pools, "shop", "ada").learn({"TimeZone": "UTC"})
    changed = changed_user(config, "ada", startup_parameters={"TimeZone": "CET"})
    pools.apply(changed, indices_of(config))
    assert at(pools, "shop", "ada").parameters is None


def test_server_that_reports_something_new_makes_states_old(pools: PoolDirectory):
    entry = at(pools, "shop", "ada")
    entry.learn({"TimeZone": "UTC"})
    states = entry.states
    entry.learn({"TimeZone": "UTC"})
    assert entry.states is states
    entry.learn({"TimeZone": "CET"})
    assert entry.parameters == {"TimeZone": "CET"}
    assert entry.states is not states


def test_removed_pools_are_named(pools: PoolDirectory, config: Config):
    rest = replace(config, pools={"shop": config.pools["shop"]})
    gone = pools.apply(rest, indices_of(rest))
    assert [entry.key for entry in gone] == [("till", "ada")]
    assert pools.at(gone[0].index) is None


@pytest.mark.parametrize(
    ("user", "kind", "is_locked"),
    [("ada", type(None), False), ("bob", PlainPassword, False), ("cyd", Md5Hash, False)],
)
def test_credential_comes_from_the_configuration(
    pools: PoolDirectory, user: str, kind: type, is_locked: bool
):
    entry = at(pools, "shop", user)
    assert isinstance(entry.credential, kind)
    assert entry.is_locked is is_locked


def test_scram_secret_opens_no_server_until_a_client_has_proved_it(
    pools: PoolDirectory, config: Config
):
    entry = at(pools, "shop", "dan")
    assert entry.is_locked
    entry.pass_on(None)
    assert entry.is_locked
    entry.pass_on(KEYS)
    assert (entry.credential, entry.is_locked) == (KEYS, False)
    pools.apply(changed_user(config, "dan", pool_size=5), indices_of(config))
    assert at(pools, "shop", "dan").credential == KEYS


def test_keys_of_another_secret_are_not_kept(pools: PoolDirectory, config: Config):
    at(pools, "shop", "dan").pass_on(KEYS)
    pools.apply(changed_user(config, "dan", password=MD5_OF_ADA), indices_of(config))
    assert at(pools, "shop", "dan").credential == Md5Hash(MD5_OF_ADA)


def test_server_password_is_not_replaced_by_what_clients_prove(
    pools: PoolDirectory, config: Config
):
    pools.apply(changed_user(config, "dan", server_password="own"), indices_of(config))
    entry = at(pools, "shop", "dan")
    entry.pass_on(KEYS)
    assert entry.credential == PlainPassword("own")


def test_secret_is_prepared_once(pools: PoolDirectory):
    calls: list[str] = []

    def derive(password: str, salt: bytes, iterations: int) -> ScramKeys:
        calls.append(password)
        return KEYS

    entry = at(pools, "shop", "bob")
    first = entry.verifier.secret(b"m", derive, 4096)
    assert isinstance(first, PlainSecret)
    assert entry.verifier.secret(b"m", derive, 4096) is first
    assert calls == ["builder"]
    again = entry.verifier.secret(b"m", derive, 5000)  # a reload wants other iterations
    assert isinstance(again, PlainSecret)
    assert again.scram.iterations == 5000


def test_same_failure_is_news_once_a_second(pools: PoolDirectory):
    news = at(pools, "shop", "ada").news
    assert news.has("refused", 10.0)
    assert not news.has("refused", 10.9)
    assert news.has("other", 10.9)
    assert news.has("other", 12.0)


def test_parameters_that_one_worker_learned_are_known_to_all(config: Config):
    segment = FakeSegment()
    one, other = (directory(config, segment, worker) for worker in range(2))
    entry = at(other, "shop", "ada")
    assert entry.parameters is None
    at(one, "shop", "ada").learn({"TimeZone": "UTC", "a.empty": "", "a.name": "ü\udc81"})
    assert entry.parameters == {"TimeZone": "UTC", "a.empty": "", "a.name": "ü\udc81"}
    assert list(entry.parameters or {}) == ["TimeZone", "a.empty", "a.name"]
    states = entry.states
    at(one, "shop", "ada").learn({"TimeZone": "CET"})
    assert entry.states is not states
    assert at(other, "till", "ada").parameters is None


def test_keys_that_a_client_proved_to_one_worker_open_servers_in_all(config: Config):
    segment = FakeSegment()
    one, other = (directory(config, segment, worker) for worker in range(2))
    assert at(other, "shop", "dan").is_locked
    at(one, "shop", "dan").pass_on(KEYS)
    assert not at(other, "shop", "dan").is_locked
    assert at(other, "shop", "dan").credential == KEYS


def test_workers_with_different_secrets_do_not_believe_each_other(config: Config):
    segment = FakeSegment()
    other_secret = "SCRAM-SHA-256$4096:" + "D" * 22 + "==$" + "E" * 43 + "=:" + "F" * 43 + "="
    changed = changed_user(config, "dan", password=other_secret)
    one, other = directory(config, segment), directory(changed, segment, 1)
    at(one, "shop", "dan").pass_on(KEYS)
    assert at(other, "shop", "dan").is_locked


def test_what_was_wiped_is_told_again_by_those_whom_it_still_concerns(config: Config):
    segment = FakeSegment()
    one, other = (directory(config, segment, worker) for worker in range(2))
    old = at(one, "shop", "dan")
    old.pass_on(KEYS)
    segment.wipe_notes(old.index)
    assert at(other, "shop", "dan").is_locked
    assert old.credential == KEYS
    assert at(other, "shop", "dan").credential == KEYS


def test_entry_that_was_replaced_tells_nothing_more(config: Config):
    segment = FakeSegment()
    pools = directory(config, segment)
    old = at(pools, "shop", "dan")
    pools.apply(changed_user(config, "dan", password=MD5_OF_ADA), indices_of(config))
    old.pass_on(KEYS)  # a client whose login began before the reload
    old.learn({"TimeZone": "UTC"})
    assert segment.notes == {}


def test_removed_pool_tells_nothing_more(config: Config):
    segment = FakeSegment()
    pools = directory(config, segment)
    old = at(pools, "till", "ada")
    rest = replace(config, pools={"shop": config.pools["shop"]})
    pools.apply(rest, indices_of(rest))
    old.learn({"TimeZone": "UTC"})
    assert segment.notes == {}


def test_too_much_to_tell_stays_with_the_worker(config: Config):
    segment = FakeSegment()
    one, other = (directory(config, segment, worker) for worker in range(2))
    long = {"search_path": "x" * 5000}
    at(one, "shop", "ada").learn(long)
    assert at(one, "shop", "ada").parameters == long
    assert at(other, "shop", "ada").parameters is None


def test_keys_are_derived_once_and_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch):
    calls: list[bytes] = []

    def derive(password: str, salt: bytes, iterations: int) -> ScramKeys:
        calls.append(salt)
        return KEYS

    monkeypatch.setattr("greenpool.worker.keys.derive_keys", derive)
    keys = KeyCache(gevent.get_hub().threadpool, capacity=2)
    for salt in (b"a", b"b", b"a", b"c", b"a"):
        assert keys("pw", salt, 1) == KEYS
    assert calls == [b"a", b"b", b"c", b"a"]
