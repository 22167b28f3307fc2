"""Which limit a client meets, and what it is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from greenpool.auth.peer import Peer, Transport, parse_address
from greenpool.protocol.errors import ClientError
from greenpool.records import ClientCounts
from greenpool.worker import limits
from tests.unit.worker.fakes import FakedWorker, make_config, make_worker


@pytest.fixture
def worker(tmp_path) -> FakedWorker:
    return make_worker(make_config(tmp_path))


def limited(worker: FakedWorker, **general: Any) -> None:
    config = worker.config
    worker.config = replace(config, general=replace(config.general, **general))


@pytest.mark.parametrize(
    ("general", "own", "counts", "told"),
    [
        ({}, 0, (9, 9, 9), ""),
        ({"max_user_client_connections": 3}, 0, (3, 9, 9), ""),
        ({"max_user_client_connections": 3}, 0, (4, 4, 4), 'for role "ada"'),
        ({"max_db_client_connections": 3}, 0, (9, 3, 9), ""),
        ({"max_db_client_connections": 3}, 0, (1, 4, 1), 'for database "shop"'),
        ({}, 2, (9, 9, 2), ""),
        ({}, 2, (9, 9, 3), 'for role "ada"'),
    ],
)
def test_one_too_many_is_refused(worker, general, own, counts, told):
    entry = worker.pools.find("shop", "ada")
    entry.user = replace(entry.user, max_client_connections=own)
    limited(worker, **general)
    worker.segment.counts = ClientCounts(*counts)
    if told:
        with pytest.raises(ClientError, match=f"too many connections {told}") as caught:
            limits.check_counts(worker, 5, entry)
        assert caught.value.sqlstate == "53300"
    else:
        limits.check_counts(worker, 5, entry)
    assert worker.segment.admitted == [5]


@pytest.mark.parametrize(
    ("address", "rated"),
    [("10.0.0.1", bytes((10, 0, 0, 1))), ("2001:db8:1:2:3::4", bytes.fromhex("20010db800010002"))],
)
def test_address_is_rated_as_a_host(worker, address, rated):
    limited(worker, login_rate_limit=1)
    peer = Peer(Transport.TCP, parse_address(address))
    limits.check_rate(worker, peer)
    with pytest.raises(ClientError, match=f'too many login attempts from host "{address}"'):
        limits.check_rate(worker, peer)
    assert worker.segment.tries == [(rated, 1)] * 2


def test_unix_sockets_and_no_limit_are_not_rated(worker):
    limits.check_rate(worker, Peer(Transport.TCP, parse_address("10.0.0.1")))
    limited(worker, login_rate_limit=1)
    limits.check_rate(worker, Peer(Transport.LOCAL))
    assert worker.segment.tries == []
