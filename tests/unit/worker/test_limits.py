"""How often an address may try, and what it is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from greenpool.auth.peer import Peer, Transport, parse_address
from greenpool.protocol.errors import ClientError
from greenpool.worker import limits
from tests.unit.worker.fakes import FakedWorker, make_config, make_worker


@pytest.fixture
def worker(tmp_path) -> FakedWorker:
    return make_worker(make_config(tmp_path))


def limited(worker: FakedWorker, **general: Any) -> None:
    config = worker.config
    worker.config = replace(config, general=replace(config.general, **general))


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
