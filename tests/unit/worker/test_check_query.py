"""`pooler_check_query`: what the engine is told, and when PostgreSQL is asked for it."""

from __future__ import annotations

from dataclasses import replace

import gevent
import pytest

from greenpool.protocol import backend, frontend
from greenpool.protocol.errors import ClientError, Severity, SqlState
from greenpool.protocol.message import BackendType, TransactionStatus, build
from greenpool.worker import check_query
from greenpool.worker.pools import CheckState, PoolEntry
from tests.unit.worker.fakes import FakedWorker, answering, indices_of

READY = backend.ready_for_query()
EMPTY = backend.empty_query_response() + READY
ROW = backend.data_row(["1"]) + backend.command_complete("SELECT 1")


def configure(worker: FakedWorker, query: str) -> PoolEntry:
    """Have the pool of ada's shop check by this query."""
    config = worker.config
    shop = replace(config.pools["shop"], pooler_check_query=query)
    worker.config = replace(config, pools={**config.pools, "shop": shop})
    worker.pools.apply(worker.config, indices_of(worker.config))
    check_query.set_up(worker)
    entry = worker.pools.find("shop", "ada")
    assert entry is not None
    return entry


def told(worker: FakedWorker, entry: PoolEntry) -> list[tuple[bytes, bytes]]:
    """Return what the engine was told about a pool: queries and their replies."""
    return [call[1:] for call in worker.engine.named("answer") if call[0] == entry.index]


def ask(worker: FakedWorker, entry: PoolEntry) -> None:
    """Let a client come, and everything happen that follows from it."""
    check_query.on_client(worker, entry)
    with gevent.Timeout(5):
        while entry.check is CheckState.ASKED:
            gevent.sleep(0.001)


@pytest.mark.parametrize("query", [";", " ;\n; ", "\t"])
def test_empty_query_is_known_beforehand(worker: FakedWorker, query: str):
    entry = configure(worker, query)
    assert told(worker, entry)[-1] == (frontend.query(query), EMPTY)
    check_query.on_client(worker, entry)
    assert not worker.engine.served


def test_no_query_is_never_answered(worker: FakedWorker):
    configure(worker, ";")
    entry = configure(worker, "")
    assert told(worker, entry)[-1] == (b"", b"")
    check_query.on_client(worker, entry)
    assert not worker.engine.served


def test_pool_that_is_the_same_is_told_nothing_again(worker: FakedWorker):
    before = len(told(worker, configure(worker, ";")))
    assert len(told(worker, configure(worker, ";"))) == before


def test_query_is_asked_once_and_known_from_then_on(worker: FakedWorker):
    notice = build(BackendType.NOTICE_RESPONSE, b"SNOTICE\0\0")
    worker.engine.on_serve = answering(notice + ROW + READY)
    entry = configure(worker, "select 1")
    assert told(worker, entry)[-1] == (b"", b"")
    ask(worker, entry)
    assert told(worker, entry)[-1] == (frontend.query("select 1"), ROW + READY)
    ask(worker, entry)
    assert len(worker.engine.served) == 1


def test_failure_is_not_remembered(worker: FakedWorker):
    error = ClientError(Severity.ERROR, SqlState.INTERNAL_ERROR, "out of order").response()
    worker.engine.on_serve = answering(error + READY, ROW + READY)
    entry = configure(worker, "select 1")
    ask(worker, entry)
    assert entry.check is CheckState.UNKNOWN
    ask(worker, entry)
    assert told(worker, entry)[-1][1] == ROW + READY


@pytest.mark.parametrize(
    "reply",
    [
        backend.command_complete("BEGIN")
        + backend.ready_for_query(TransactionStatus.IN_TRANSACTION),
        backend.data_row(["x" * check_query.MAX_REPLY_BYTES]) + READY,
    ],
    ids=["transaction", "long"],
)
def test_what_is_no_check_stays_a_query(worker: FakedWorker, reply: bytes):
    worker.engine.on_serve = answering(reply)
    entry = configure(worker, "begin")
    check_query.on_client(worker, entry)
    while not worker.engine.served:
        gevent.sleep(0.001)
    gevent.idle()
    check_query.on_client(worker, entry)
    assert len(worker.engine.served) == 1
    assert told(worker, entry)[-1] == (b"", b"")


def test_answer_for_a_pool_that_has_changed_is_dropped(worker: FakedWorker):
    worker.engine.on_serve = answering(ROW + READY)
    old = configure(worker, "select 1")
    check_query.on_client(worker, old)
    new = configure(worker, "select 2")
    with gevent.Timeout(5):
        while not worker.engine.served:
            gevent.sleep(0.001)
    gevent.idle()
    assert new.check is CheckState.UNKNOWN
    assert told(worker, new)[-1] == (b"", b"")
