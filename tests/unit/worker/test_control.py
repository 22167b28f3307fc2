"""The conversation of master and worker: framing, and that configurations survive it."""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Iterator

import pytest

from greenpool.config import Config
from greenpool.errors import ControlError
from greenpool.worker.control import (
    MAX_MESSAGE_BYTES,
    Command,
    ControlMessage,
    ControlReader,
    ControlSender,
    Drain,
    Drained,
    HandOver,
    Ready,
    Reload,
    Reloaded,
)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    theirs.settimeout(5)
    yield ours, theirs
    ours.close()
    theirs.close()


MESSAGES: list[ControlMessage] = [
    Ready(),
    Reloaded(),
    Drained(),
    Drain(2.5),
    HandOver((2, 3)),
    Command("reload"),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_message_arrives(pair: tuple[socket.socket, socket.socket], message: ControlMessage):
    ControlSender(pair[0]).send(message)
    assert ControlReader(pair[1]).receive() == [message]


def test_configuration_arrives_as_it_was(pair: tuple[socket.socket, socket.socket], config: Config):
    ControlSender(pair[0]).send(Reload(config, {("shop", "ada"): 7}))
    reader = ControlReader(pair[1])
    while not (messages := reader.receive()):
        pass
    assert messages == [Reload(config, {("shop", "ada"): 7})]


def test_stream_may_be_cut_anywhere(pair: tuple[socket.socket, socket.socket]):
    for message in MESSAGES:
        ControlSender(pair[0]).send(message)
    data = pair[1].recv(65536)
    reader = ControlReader(pair[1])
    found: list[ControlMessage] = []
    for at in range(len(data)):
        pair[0].sendall(data[at : at + 1])
        found += reader.receive() or []
    assert found == MESSAGES


def test_end_of_the_peer_is_none(pair: tuple[socket.socket, socket.socket]):
    pair[0].close()
    assert ControlReader(pair[1]).receive() is None


def test_nothing_yet_is_an_empty_list(pair: tuple[socket.socket, socket.socket]):
    pair[1].setblocking(False)
    assert ControlReader(pair[1]).receive() == []


def test_impossible_length_is_refused(pair: tuple[socket.socket, socket.socket]):
    pair[0].sendall(struct.pack("!I", MAX_MESSAGE_BYTES + 1))
    with pytest.raises(ControlError, match="cannot be right"):
        ControlReader(pair[1]).receive()


def test_what_is_no_message_is_refused(pair: tuple[socket.socket, socket.socket]):
    body = pickle.dumps("reload")
    pair[0].sendall(struct.pack("!I", len(body)) + body)
    with pytest.raises(ControlError, match="a str is not a control message"):
        ControlReader(pair[1]).receive()
