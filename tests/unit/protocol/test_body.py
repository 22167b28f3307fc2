from __future__ import annotations

import pytest

from greenpool.protocol.body import Body, MalformedBody


def test_body_reads_front_to_back():
    body = Body(b"\x01\x00\x02\x00\x00\x00\x03\xff\xff\xff\xffab\0\0rest")
    assert (body.u8(), body.u16(), body.u32(), body.i32()) == (1, 2, 3, -1)
    assert (body.cstring(), body.cstring(), body.left) == ("ab", "", 4)
    assert body.rest() == b"rest"
    body.end()


@pytest.mark.parametrize("read", [Body.u8, Body.u16, Body.u32, Body.i32, Body.cstring])
def test_body_refuses_to_read_past_the_end(read):
    with pytest.raises(MalformedBody):
        read(Body(b""))


@pytest.mark.parametrize("count", [-1, 4, 1 << 40])
def test_body_take_is_bounded_and_moves_only_on_success(count):
    body = Body(b"abc")
    with pytest.raises(MalformedBody, match="insufficient data left"):
        body.take(count)
    assert body.take(3) == b"abc"


def test_body_refuses_unterminated_string_and_leftovers():
    body = Body(b"abc")
    with pytest.raises(MalformedBody, match="invalid string"):
        body.cstring()
    with pytest.raises(MalformedBody, match="invalid message format"):
        body.end()
