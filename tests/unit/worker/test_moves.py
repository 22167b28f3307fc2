"""Clients that come from other workers, and go to them: whose their descriptors are."""

from __future__ import annotations

import os
import socket

import pytest

from greenpool.records import EventKind, Reason
from greenpool.worker import check_query, moves
from tests.unit.worker.fakes import FakedWorker, event, served_fds

NO_POOL = 4711


def test_who_arrives_is_the_tables_and_not_its_own(worker: FakedWorker) -> None:
    ours, theirs = socket.socketpair()
    with served_fds(worker), theirs:
        moves.on_arrived(worker, event(EventKind.ARRIVED, client=7, pool=0, detail=ours.detach()))
        assert list(worker.clients) == [7]
        assert not worker.clients.is_own(7)
        assert not worker.engine.named("kill")


def test_who_arrives_may_want_to_know_the_check_querys_answer(
    worker: FakedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(check_query, "on_client", lambda _worker, entry: told.append(entry))
    ours, theirs = socket.socketpair()
    with served_fds(worker), theirs:
        moves.on_arrived(worker, event(EventKind.ARRIVED, client=7, pool=0, detail=ours.detach()))
    assert told == [worker.pools.at(0)]


def test_who_arrives_for_a_removed_pool_is_told(worker: FakedWorker) -> None:
    ours, theirs = socket.socketpair()
    with served_fds(worker), theirs:
        arrival = event(EventKind.ARRIVED, client=7, pool=NO_POOL, detail=ours.detach())
        moves.on_arrived(worker, arrival)
        assert [call[:2] for call in worker.engine.named("kill")] == [(7, Reason.KILLED)]


def test_who_has_moved_is_forgotten_without_a_word(
    worker: FakedWorker, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = socket.socketpair()
    fd = ours.detach()
    worker.clients.add(7, fd)
    with theirs:
        moves.on_moved(worker, event(EventKind.MOVED, client=7))
        assert not list(worker.clients)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
    assert not worker.engine.named("forget")  # the row is another worker's
    assert not caplog.records


def test_descriptor_of_a_tls_session_that_stays_is_the_engines(worker: FakedWorker) -> None:
    ours, theirs = socket.socketpair()
    worker.clients.add(7, ours.fileno())
    with ours, theirs:
        moves.on_moved(worker, event(EventKind.MOVED, client=7, detail=1))
        assert not list(worker.clients)
        os.fstat(ours.fileno())
