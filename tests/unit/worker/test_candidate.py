"""Whom a client says it is, where a template is for all other databases."""

from __future__ import annotations

import pytest

from greenpool.auth.hba.match import Request
from greenpool.auth.peer import Peer, Transport
from greenpool.protocol.startup import Replication
from greenpool.worker import candidate
from greenpool.worker.candidate import Candidate
from tests.unit.worker.fakes import FakedWorker

CONFIG = """
pools:
  shop: {users: [{username: ann}]}
  "*": {users: [{username: bob}]}
"""


def find(worker: FakedWorker, user: str, database: str) -> Candidate:
    peer = Peer(Transport.LOCAL, uid=0)
    return candidate.find(worker, Request(peer, user, database, Replication.NONE))


def test_users_of_the_template_are_guests_elsewhere(worker: FakedWorker) -> None:
    bob = find(worker, "bob", "new")
    assert (bob.account is not None, bob.is_guest, bob.entry) == (True, True, None)
    assert find(worker, "bob", "shop").account is None
    ann = find(worker, "ann", "shop")
    assert (ann.has_pool, ann.is_guest) == (True, False)
    assert find(worker, "ann", "new").account is None


@pytest.mark.parametrize("user", ["bob", "ann", "stranger"])
def test_who_exists_is_not_told_by_what_is_remembered(worker: FakedWorker, user: str) -> None:
    assert find(worker, user, "new").is_fickle
    assert not find(worker, user, "shop").is_fickle


def test_no_database_has_the_template_s_name(worker: FakedWorker) -> None:
    for user in ("ann", "bob"):  # known somewhere: the password is asked for, then this is told
        asks = find(worker, user, "*")
        assert (asks.account is not None, asks.has_pool) == (True, False)
