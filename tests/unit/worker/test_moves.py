"""Clients that come from other workers: whether they have a pool here."""

from __future__ import annotations

import pytest

from greenpool.records import EventKind, Reason
from greenpool.worker import check_query, moves
from tests.unit.worker.fakes import FakedWorker, event

NO_POOL = 4711


def test_who_arrives_may_want_to_know_the_check_querys_answer(
    worker: FakedWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[object] = []
    monkeypatch.setattr(check_query, "on_client", lambda _worker, entry: told.append(entry))
    moves.on_arrived(worker, event(EventKind.ARRIVED, client=7, pool=0))
    assert told == [worker.pools.at(0)]
    assert not worker.engine.named("kill")
    assert not caplog.records


def test_who_arrives_for_a_removed_pool_is_told(worker: FakedWorker) -> None:
    moves.on_arrived(worker, event(EventKind.ARRIVED, client=7, pool=NO_POOL))
    assert [call[:2] for call in worker.engine.named("kill")] == [(7, Reason.KILLED)]
