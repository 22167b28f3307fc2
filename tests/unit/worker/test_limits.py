"""How often an address may try, how many clients it may have, and what it is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from greenpool.auth.peer import Peer, Transport, parse_address
from greenpool.protocol.errors import ClientError
from greenpool.records import Refusal
from greenpool.worker import limits
from greenpool.worker.refusals import refusal_of
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


@pytest.mark.parametrize(
    ("host", "counted", "called"),
    [
        ("10.0.0.1", bytes((10, 0, 0, 1)), "10.0.0.1"),
        ("::ffff:10.0.0.1", bytes((10, 0, 0, 1)), "10.0.0.1"),
        ("2001:db8:1:2:3::4%eth0", bytes.fromhex("20010db800010002"), "2001:db8:1:2:3::4"),
    ],
)
def test_clients_of_an_address_are_counted(worker, host, counted, called):
    limits.check_count(worker, 1, host, is_admin=False)
    limited(worker, max_address_client_connections=1)
    with pytest.raises(ClientError, match=f'too many connections from host "{called}"') as caught:
        limits.check_count(worker, 2, host, is_admin=False)
    assert caught.value.fields.sqlstate == "53300"
    assert refusal_of(caught.value) is Refusal.ADDRESS
    assert worker.segment.origins == [(1, counted, 0), (2, counted, 1)]


def test_admin_may_come_when_the_address_is_full(worker):
    limited(worker, max_address_client_connections=1)
    limits.check_count(worker, 1, "10.0.0.1", is_admin=True)
    assert worker.segment.origins[0][2] == 1 + limits.ADMIN_CLIENTS


def test_clients_by_unix_socket_are_not_counted(worker):
    limited(worker, max_address_client_connections=1)
    limits.check_count(worker, 1, "", is_admin=False)
    assert worker.segment.origins == []
