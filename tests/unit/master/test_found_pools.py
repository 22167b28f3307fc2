"""The life of a found user's pool, with workers that answer when the test says so."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from greenpool.config import LOOKUP_USER, load
from greenpool.errors import EngineError
from greenpool.master.found_pools import LOOK_S, FoundPools, Rights
from greenpool.master.live import LiveConfig
from greenpool.tallies import Tallies, Tally
from greenpool.worker.control import Made, NotMade, Release, Released, Wanted

ANN, BOB = ("shop", "ann"), ("shop", "bob")
TO_BOTH = [(11, Made(ANN, 1)), (12, Made(ANN, 1))]
CONFIG = """
pools:
  shop:
    idle_timeout: 10s
    auth_query: {query: "select $1", user: asker}
"""


@dataclass(frozen=True)
class Settings:
    size: int = 10


@dataclass
class Row:
    index: int
    database: str = ""
    user: str = ""
    cl_idle: int = 0
    sv_idle: int = 0
    cl_active: int = 0
    cl_waiting: int = 0
    cl_login: int = 0
    sv_active: int = 0
    sv_login: int = 0
    sv_canceled: int = 0
    sv_closing: int = 0
    held: int = 0
    settings: Settings = Settings()


class FakeSegment:
    """Places by name, as the real one has them."""

    clients_max = 100
    is_fresh = True

    def __init__(self, pools_max: int) -> None:
        self.pools_max = pools_max
        self.names: list[tuple[str, str] | None] = []
        self.rows: dict[int, Row] = {}

    def limits(self, clients_limit: int, max_creates: int) -> None:
        """Accept any."""

    def bound_memory(self, limit_bytes: int) -> None:
        """Accept any."""

    def define_pool(self, database: str, user: str, settings: object) -> int:
        name = (database, user)
        if name not in self.names:
            if None in self.names:
                self.names[self.names.index(None)] = name
            elif len(self.names) < self.pools_max:
                self.names.append(name)
            else:
                raise EngineError("full")
        index = self.names.index(name)
        self.rows[index] = Row(index, database, user)
        return index

    def define_database(self, name: str, settings: object) -> int:
        return 0

    def database_rows(self) -> list[Any]:
        return []

    def remove_pool(self, index: int) -> None:
        del self.rows[index]

    def vacate_pool(self, index: int, heir: int) -> None:
        assert index not in self.rows
        assert self.names[heir] == ("shop", LOOKUP_USER)
        self.names[index] = None

    def renew_pool(self, index: int) -> None:
        """Have no servers to renew."""

    def pool_row(self, index: int) -> Row | None:
        return self.rows.get(index)

    def pool_rows(self) -> list[Row]:
        return list(self.rows.values())


@dataclass
class Slot:
    pid: int


@dataclass
class FakeWorkers:
    slots: list[Slot]
    sent: list[tuple[int, Any]] = field(default_factory=list)

    def alive(self) -> list[Slot]:
        return self.slots

    def send(self, slot: Slot, message: object) -> bool:
        self.sent.append((slot.pid, message))
        return True

    def take(self) -> list[tuple[int, Any]]:
        sent, self.sent = self.sent, []
        return sent


class FakeSuccessor:
    """The master of the next generation."""

    def __init__(self) -> None:
        self.is_busy = False
        self.wanted: list[tuple[str, str]] = []

    def want(self, key: tuple[str, str]) -> bool:
        if self.is_busy:
            return False
        self.wanted.append(key)
        return True


class Bench:
    """A master with two workers, whose clock is the test's."""

    def __init__(self, path: Path, pools_max: int = 3) -> None:
        path.write_text(CONFIG)
        self.config = load(path, {})
        self.segment = FakeSegment(pools_max)
        self.live = LiveConfig(self.config, lambda: self.config, cast(Any, self.segment))
        self.workers = FakeWorkers([Slot(11), Slot(12)])
        self.tallies = Tallies.create(pools_max, 2)
        self.rights = Rights.ALL
        estate = SimpleNamespace(live=self.live, segment=self.segment, tallies=self.tallies)
        self.successor = FakeSuccessor()
        self.found = FoundPools(
            *(cast(Any, estate), cast(Any, self.workers), lambda: self.rights, self.successor.want),
        )
        self.now = 100.0

    def want(self, key: tuple[str, str], worker: int = 0) -> list[tuple[int, Any]]:
        answer = partial(self.workers.send, self.workers.slots[worker])
        self.found.want(Wanted(key), answer)
        return self.workers.take()

    def pass_time(self, seconds: float) -> list[tuple[int, Any]]:
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + LOOK_S, end)
            self.found.manage()
        return self.workers.take()

    def answer(self, worker: int, release: Release, *, is_gone: bool = True) -> None:
        answer = Released(release.key, release.serial, is_gone)
        self.found.acknowledge(cast(Any, self.workers.slots[worker]), answer)
        self.found.manage()

    def release(self) -> Release:
        """Let the time of ann's pool be over."""
        (_, message), (_, again) = self.pass_time(20.0)
        assert isinstance(message, Release)
        assert message == again
        return message


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(tmp_path / "greenpool.yaml")
    monkeypatch.setattr("greenpool.master.found_pools.time.monotonic", lambda: bench.now)
    return bench


def test_all_workers_hear_of_a_pool_and_who_asks_again_alone(bench: Bench) -> None:
    assert bench.want(ANN) == [*TO_BOTH, (11, Made(ANN, 1))]
    assert bench.want(ANN, worker=1) == [(12, Made(ANN, 1))]
    assert bench.live.pools[ANN] == 1
    assert bench.tallies.total(0, Tally.POOLS_CREATED) == 1


def test_segment_without_room_is_told_to_who_asked(bench: Bench) -> None:
    bench.want(ANN)
    bench.want(BOB)
    [(pid, message)] = bench.want(("shop", "cyd"), worker=1)
    assert (pid, message) == (12, NotMade(("shop", "cyd"), "there is no room for another pool"))
    assert bench.want(("nowhere", "cyd")) == [
        (11, NotMade(("nowhere", "cyd"), "there is no room for another pool"))
    ]
    assert set(bench.live.pools) == {("shop", LOOKUP_USER), ANN, BOB}


def test_unused_pool_gives_up_its_place_when_all_have_forgotten_it(bench: Bench) -> None:
    bench.want(ANN)
    assert bench.pass_time(10.0) == []
    release = bench.release()
    assert ANN not in bench.live.pools  # who is born now does not hear of it
    bench.answer(0, release)
    assert bench.segment.names[1] == ANN
    bench.answer(1, release)
    assert bench.segment.names[1] is None
    assert bench.tallies.total(0, Tally.POOLS_DESTROYED) == 1
    assert bench.found.next_due() is None
    assert bench.want(BOB)[0] == (11, Made(BOB, 1))


@pytest.mark.parametrize("used", ["cl_idle", "cl_waiting", "sv_idle", "sv_closing", "held"])
def test_used_pool_stays(bench: Bench, used: str) -> None:
    bench.want(ANN)
    setattr(bench.segment.rows[1], used, 1)
    assert bench.pass_time(60.0) == []
    setattr(bench.segment.rows[1], used, 0)
    assert bench.pass_time(10.0) == []  # the time begins anew
    bench.release()


def test_worker_that_needs_it_keeps_it_for_all(bench: Bench) -> None:
    bench.want(ANN)
    release = bench.release()
    bench.answer(0, release)
    bench.answer(1, release, is_gone=False)
    assert bench.workers.take() == [(11, Made(ANN, 1)), (12, Made(ANN, 1))]
    assert bench.live.pools[ANN] == 1
    bench.answer(0, release)  # a late answer to a release that is over
    assert bench.segment.names[1] == ANN


def test_client_that_comes_back_meanwhile_keeps_it(bench: Bench) -> None:
    bench.want(ANN)
    release = bench.release()
    bench.answer(0, release)
    assert bench.want(ANN) == [*TO_BOTH, (11, Made(ANN, 1))]
    bench.answer(1, release)
    assert bench.segment.names[1] == ANN
    assert bench.live.found == {ANN}


def test_client_that_was_let_in_before_the_last_answer_keeps_it(bench: Bench) -> None:
    bench.want(ANN)
    release = bench.release()
    bench.answer(0, release)
    bench.segment.rows[1].cl_idle = 1
    bench.answer(1, release)
    assert bench.workers.take() == [(11, Made(ANN, 1)), (12, Made(ANN, 1))]
    assert bench.segment.names[1] == ANN


def test_dead_worker_owes_no_answer(bench: Bench) -> None:
    bench.want(ANN)
    bench.answer(0, bench.release())
    bench.workers.slots[1] = Slot(13)  # a successor, which never heard of it
    bench.found.manage()
    assert bench.segment.names[1] is None


def test_reload_takes_back_a_release_and_removes_what_it_does_not_find(bench: Bench) -> None:
    bench.want(ANN)
    release = bench.release()
    bench.answer(0, release)
    bench.found.keep_all()
    assert bench.live.reload().is_ok
    bench.found.follow()
    bench.answer(1, release)
    assert bench.live.pools[ANN] == 1
    bench.config = replace(
        bench.config, pools={"shop": replace(bench.config.pools["shop"], auth_query=None)}
    )
    bench.found.keep_all()
    assert bench.live.reload().is_ok
    bench.found.follow()
    bench.live.settle()
    assert bench.live.pools == {}
    assert bench.segment.rows == {}
    assert bench.found.next_due() is None


def test_reload_that_configures_a_found_user_keeps_its_place(bench: Bench, tmp_path: Path) -> None:
    bench.want(ANN)
    path = tmp_path / "other.yaml"
    path.write_text(CONFIG + "    users: [{username: ann}]\n")
    bench.config = load(path, {})
    bench.found.keep_all()
    assert bench.live.reload().is_ok
    bench.found.follow()
    bench.live.settle()
    assert (bench.live.pools[ANN], bench.live.found) == (1, set())
    assert bench.pass_time(60.0) == []
    assert 1 in bench.segment.rows


def test_who_wants_a_pool_while_another_generation_may_define_some_waits(bench: Bench) -> None:
    bench.rights = Rights.LATER
    assert bench.want(ANN) == []
    assert bench.pass_time(4.0) == []
    bench.rights = Rights.ALL
    assert bench.pass_time(0.1) == [*TO_BOTH, (11, Made(ANN, 1))]


def test_pools_that_are_waited_for_are_made_just_before_the_next_generation_looks(
    bench: Bench,
) -> None:
    bench.rights = Rights.LATER
    bench.want(ANN)
    bench.found.make_wanted()
    assert bench.workers.take() == [*TO_BOTH, (11, Made(ANN, 1))]


def test_generation_that_hands_over_has_the_next_one_make_pools(bench: Bench) -> None:
    bench.rights = Rights.NONE
    bench.successor.is_busy = True
    assert bench.want(ANN) == bench.want(ANN, worker=1) == bench.pass_time(0.1) == []
    bench.successor.is_busy = False
    assert bench.pass_time(4.0) == []
    assert bench.successor.wanted == [ANN]  # once for both
    bench.segment.rows[7] = Row(7, *ANN)
    bench.found.answered(Made(ANN, 7))
    assert bench.workers.take() == [(11, Made(ANN, 7)), (12, Made(ANN, 7))]
    bench.want(BOB)
    bench.pass_time(0.1)
    bench.found.answered(NotMade(BOB, "full"))
    assert bench.workers.take() == [(11, NotMade(BOB, "full"))]
    assert bench.pass_time(4.0) == []


def test_pool_of_a_next_generation_with_another_layout_gets_settings_here_too(
    bench: Bench,
) -> None:
    bench.rights = Rights.NONE
    bench.want(ANN)
    bench.pass_time(0.1)
    index = bench.segment.define_pool(*ANN, None)
    bench.segment.rows[index].settings = Settings(0)
    bench.found.answered(Made(ANN, index))
    assert bench.workers.take() == [(11, Made(ANN, index))]
    assert bench.segment.rows[index].settings.size


def test_next_generation_that_died_unheard_leaves_the_pools_to_this_one(bench: Bench) -> None:
    bench.rights = Rights.NONE
    bench.want(ANN)
    assert bench.pass_time(0.1) == []
    bench.rights = Rights.ALL  # it came back
    assert bench.pass_time(0.1) == [*TO_BOTH, (11, Made(ANN, 1))]


def test_release_is_taken_back_when_another_generation_comes(bench: Bench) -> None:
    bench.want(ANN)
    bench.release()
    bench.rights = Rights.LATER
    assert bench.pass_time(0.1) == [(11, Made(ANN, 1)), (12, Made(ANN, 1))]
    assert bench.live.pools[ANN] == 1


def test_next_generation_goes_on_with_the_pools_and_gives_them_up_when_it_is_alone(
    bench: Bench,
) -> None:
    bench.segment.define_pool(*ANN, None)  # by the one before
    bench.segment.define_pool("shop", "gone", None)
    bench.segment.remove_pool(2)
    bench.live.take_over()
    bench.rights = Rights.MAKE
    bench.found.adopt()
    assert bench.workers.take() == [(11, Made(ANN, 1)), (12, Made(ANN, 1))]
    assert bench.want(ANN) == [(11, Made(ANN, 1))]
    assert bench.pass_time(20.0) == []
    bench.rights = Rights.ALL
    assert bench.release().key == ANN
