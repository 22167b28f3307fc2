from __future__ import annotations

import pytest

from greenpool.errors import ClientProtocolError, ServerProtocolError
from greenpool.protocol import backend, frontend
from greenpool.protocol.frame import FrameReader
from greenpool.protocol.message import BackendType, FrontendType, Message, build
from tests.unit.protocol.feeding import slicings

STREAM = frontend.query("select 1") + frontend.password_message("pw") + frontend.terminate()
MESSAGES = [
    Message(FrontendType.QUERY, b"select 1\0"),
    Message(FrontendType.PASSWORD_MESSAGE, b"pw\0"),
    Message(FrontendType.TERMINATE, b""),
]


@pytest.mark.parametrize("tail", [b"", b"Q", b"Q\0\0\0\x0a", b"Q\0\0\0\x0asel"])
def test_reader_finds_the_same_messages_however_split(tail):
    for slices in slicings(STREAM + tail):
        reader = FrameReader(FrontendType)
        assert [message for data in slices for message in reader.feed(data)] == MESSAGES
        assert reader.pending == len(tail)
        assert reader.take_rest() == tail
        assert reader.pending == 0


def test_reader_leaves_what_was_not_asked_for():
    reader = FrameReader(FrontendType)
    assert next(reader.feed(STREAM)) == MESSAGES[0]
    assert reader.take_rest() == STREAM[len(frontend.query("select 1")) :]


def test_reader_keeps_bytes_when_the_iterator_is_not_used():
    reader = FrameReader(FrontendType)
    reader.feed(STREAM[:3])
    assert list(reader.feed(STREAM[3:])) == MESSAGES


@pytest.mark.parametrize("size", [9, 10])
def test_reader_accepts_bodies_up_to_its_limit(size):
    data = build(FrontendType.COPY_DATA, bytes(size))
    assert [len(message.body) for message in FrameReader(FrontendType, 10).feed(data)] == [size]


@pytest.mark.parametrize("length", [0, 3, 15, 0x7FFFFFFF, 0xFFFFFFFF])
def test_reader_refuses_lengths_as_soon_as_it_sees_them(length):
    reader = FrameReader(FrontendType, 10)
    with pytest.raises(ClientProtocolError, match=f"invalid message length {length} of QUERY"):
        list(reader.feed(b"Q" + length.to_bytes(4, "big")))


def test_reader_refuses_unknown_types_at_their_first_byte():
    with pytest.raises(ClientProtocolError, match="invalid frontend message type 90"):
        list(FrameReader(FrontendType).feed(b"Z"))
    with pytest.raises(ServerProtocolError, match="invalid backend message type 81"):
        list(FrameReader(BackendType).feed(b"Q"))


def test_reader_of_backend_messages_names_them_by_their_side():
    data = backend.data_row(["x"])
    assert next(FrameReader(BackendType).feed(data)).type is BackendType.DATA_ROW
    assert next(FrameReader(FrontendType).feed(data)).type is FrontendType.DESCRIBE
