"""A worker's half of making and giving up the pools of found users; the master is the test."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import gevent
import pytest

from greenpool.auth.secret import Md5Hash, ScramKeys
from greenpool.config import Config
from greenpool.protocol.errors import ClientError
from greenpool.worker.control import Made, NotMade, Release, Released, Wanted
from greenpool.worker.pools import PoolEntry
from tests.unit.worker.fakes import (
    MD5_OF_ADA,
    FakedWorker,
    FakeSegment,
    indices_of,
    make_worker,
)

ANN = ("shop", "ann")
CONFIG = """
pools:
  shop:
    users: [{username: cyd}]
    auth_query: {query: "select $1", user: asker}
"""


def entered(worker: FakedWorker) -> PoolEntry:
    worker.found.on_made(Made(ANN, 5))
    return worker.found.enter(*ANN)


def row(**counts: int) -> SimpleNamespace:
    return SimpleNamespace(**{"cl_active": 0, "cl_idle": 0, "cl_waiting": 0, **counts})


def test_pool_is_wanted_once_for_all_who_wait(worker: FakedWorker) -> None:
    logins = [gevent.spawn(worker.found.enter, *ANN) for _ in range(3)]
    gevent.sleep(0)
    assert worker.told == [Wanted(ANN)]
    worker.found.on_made(Made(ANN, 5))
    gevent.joinall(logins, timeout=30, raise_error=True)
    [entry] = {login.value for login in logins}
    assert (entry.index, str(entry)) == (5, "ann@shop")
    assert worker.pools.at(5) is entry
    assert worker.pools.find(*ANN) is None  # is looked up first, the next time too
    assert worker.engine.named("answer")[-1][0] == 5  # what the place said before is forgotten


def test_refusal_reaches_all_who_wait_and_the_next_asks_again(worker: FakedWorker) -> None:
    logins = [gevent.spawn(worker.found.enter, *ANN) for _ in range(2)]
    gevent.sleep(0)
    worker.found.on_not_made(NotMade(ANN, "no room"))
    gevent.joinall(logins, timeout=30)
    assert [str(login.exception) for login in logins] == ["no room"] * 2
    again = gevent.spawn(worker.found.enter, *ANN)
    gevent.sleep(0)
    assert worker.told == [Wanted(ANN)] * 2
    again.kill()


@pytest.mark.parametrize("key", [("nowhere", "ann"), ("shop", "cyd")])
def test_nobody_enters_what_a_reload_has_taken_away(
    worker: FakedWorker, key: tuple[str, str]
) -> None:
    with pytest.raises(ClientError, match="the pool has been removed"):
        worker.found.enter(*key)
    worker.found.on_made(Made(("nowhere", "ann"), 7))
    assert worker.pools.at(7) is None


def test_unused_pool_is_forgotten(worker: FakedWorker) -> None:
    entry = entered(worker)
    worker.found.leave(ANN)
    worker.segment.pools[5] = row()
    worker.found.on_release(Release(ANN, 1))
    assert worker.told[-1] == Released(ANN, 1, is_gone=True)
    assert (worker.pools.at(5), worker.pools.of_key(ANN)) == (None, None)
    assert not worker.pools.owns(entry)
    worker.found.on_release(Release(ANN, 2))
    assert worker.told[-1] == Released(ANN, 2, is_gone=True)


def test_pool_is_kept_for_who_is_on_the_way_or_there(worker: FakedWorker, config: Config) -> None:
    first = entered(worker)
    assert worker.found.enter(*ANN) is first
    worker.segment.pools[5] = row()
    worker.found.leave(ANN)
    shop = replace(config.pools["shop"], connect_timeout_ms=1)  # a reload while one is on the way
    changed = replace(config, pools={"shop": shop})
    worker.adopt(changed)
    worker.pools.apply(changed, {**indices_of(config), ANN: 5})
    entry = worker.pools.of_key(ANN)
    assert entry is not first
    worker.found.on_release(Release(ANN, 1))
    worker.found.leave(ANN)
    worker.segment.pools[5] = row(cl_waiting=1)
    worker.found.on_release(Release(ANN, 2))
    assert worker.told == [Released(ANN, 1, is_gone=False), Released(ANN, 2, is_gone=False)]
    assert worker.pools.at(5) is entry


def test_place_of_another_is_not_owned(worker: FakedWorker) -> None:
    entry = entered(worker)
    worker.found.leave(ANN)
    worker.found.on_release(Release(ANN, 1))
    worker.found.on_made(Made(("shop", "bob"), 5))
    assert not worker.pools.owns(entry)


@pytest.mark.parametrize("proof", [ScramKeys(b"c" * 32, b"s" * 32), Md5Hash(MD5_OF_ADA)])
def test_other_workers_hear_what_a_found_user_has_proved(
    config: Config, proof: ScramKeys | Md5Hash
) -> None:
    segment = FakeSegment()
    one, other = (make_worker(config, segment) for _ in range(2))
    entered(one).pass_on(proof)
    assert entered(other).credential == proof


def test_reload_keeps_what_is_known_of_found_users(worker: FakedWorker, config: Config) -> None:
    entry = entered(worker)
    assert worker.pools.apply(config, {**indices_of(config), ANN: 5}) == []
    assert worker.pools.of_key(ANN) is entry
    assert worker.pools.apply(config, indices_of(config)) == [entry]
