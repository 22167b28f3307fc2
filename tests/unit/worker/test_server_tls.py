"""What is believed of a server before its handshake: one byte, and only two of them are lawful."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gevent
import pytest
from gevent import socket

from greenpool.config import Pool, ServerTlsMode
from greenpool.protocol import frontend
from greenpool.protocol.encryption import Step
from greenpool.worker import server_tls
from greenpool.worker.dial import ConnectFailed
from greenpool.worker.server_tls import HandshakeFailed
from tests.unit.worker.fakes import FakedWorker, make_config, make_worker

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def worker(tmp_path: Path) -> FakedWorker:
    return make_worker(make_config(tmp_path))


@pytest.fixture
def pool(worker: FakedWorker) -> Pool:
    return replace(worker.config.pools["shop"], server_tls_mode=ServerTlsMode.REQUIRE)


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("step", [Step.TLS, Step.TLS_IF_ANY])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed the connection when it was asked for TLS"),
        (b"E\0\0\0\x10SFATAL\0Mno\0\0", "no lawful answer"),
        (b"X", "no lawful answer"),
    ],
)
def test_other_answers_end_the_attempt(
    worker: FakedWorker, pool: Pool, pair: Pair, step: Step, answer: bytes, words: str
):
    ours, theirs = pair
    theirs.sendall(answer)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectFailed, match=words):
        server_tls.secure(worker, pool, ours, step)
    assert theirs.recv(100) == frontend.ssl_request()


def test_refusal_is_taken_only_where_plain_text_will_do(
    worker: FakedWorker, pool: Pool, pair: Pair
):
    ours, theirs = pair
    theirs.sendall(b"NN")
    assert server_tls.secure(worker, pool, ours, Step.TLS_IF_ANY) is ours
    with pytest.raises(ConnectFailed, match="does not support TLS, but it is required"):
        server_tls.secure(worker, pool, ours, Step.TLS)


def test_nothing_is_asked_where_tls_is_not_wanted(worker: FakedWorker, pool: Pool, pair: Pair):
    ours, theirs = pair
    assert server_tls.secure(worker, pool, ours, Step.PLAIN) is ours
    with gevent.Timeout(0.02, False):
        assert theirs.recv(1) == b""


def test_what_stands_behind_the_consent_must_be_a_handshake(
    worker: FakedWorker, pool: Pool, pair: Pair
):
    ours, theirs = pair
    theirs.sendall(b"SR\0\0\0\x08\0\0\0\0")
    with pytest.raises(HandshakeFailed, match="TLS with server at"):
        server_tls.secure(worker, pool, ours, Step.TLS)
    theirs.recv(8)
    assert theirs.recv(1) == b"\x16"  # our ClientHello, and no more than that
