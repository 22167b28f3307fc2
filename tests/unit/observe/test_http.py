"""Requests however they are cut, and answers that end the connection."""

from __future__ import annotations

import gzip
from contextlib import suppress
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenpool.observe.http import (
    REQUEST_BYTES_MAX,
    BadRequest,
    Request,
    RequestReader,
    Response,
    plain,
    respond,
)

ASK = b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\nACCEPT: text/plain ;q=0.5\r\nAccept: x/y\r\n\r\n"


def read(data: bytes) -> Request | None:
    return RequestReader().feed(data)


def status_of(data: bytes) -> HTTPStatus:
    with pytest.raises(BadRequest) as caught:
        read(data)
    return caught.value.response.status


@pytest.mark.parametrize("ask", [ASK, ASK.replace(b"\r\n", b"\n"), ASK + b"what follows"])
def test_request_is_read(ask: bytes) -> None:
    request = read(ask)
    assert request is not None
    assert (request.method, request.path) == ("GET", "/metrics")
    assert request.fields == {"host": "a", "accept": "text/plain ;q=0.5, x/y"}


def test_request_may_come_byte_by_byte() -> None:
    reader = RequestReader()
    for at in range(len(ASK) - 1):
        assert reader.feed(ASK[at : at + 1]) is None
    assert reader.feed(ASK[-1:]) == read(ASK)


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /metrics\r\n\r\n",
        b"GET metrics HTTP/1.1\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\na: b\rc\r\n\r\n",
    ],
)
def test_nonsense_is_a_bad_request(data: bytes) -> None:
    assert status_of(data) is HTTPStatus.BAD_REQUEST


def test_body_is_refused() -> None:
    post = b"POST / HTTP/1.1\r\n%s\r\n\r\nx"
    for field in (b"Content-Length: 1", b"Transfer-Encoding: chunked"):
        assert status_of(post % field) is HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert read(post % b"Content-Length: 0") is not None


def test_request_is_bounded() -> None:
    line = b"GET / HTTP/1.1\r\na: "
    whole = line + b"x" * (REQUEST_BYTES_MAX - len(line) - 4) + b"\r\n\r\n"
    assert len(whole) == REQUEST_BYTES_MAX
    assert read(whole) is not None
    too_long = whole.replace(b"a: ", b"a: x")
    assert status_of(too_long) is HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    assert status_of(too_long[:-4] + b"xxxx") is HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with suppress(BadRequest):
        request = read(data)
        assert request is None or request.path.startswith("/")


@pytest.mark.parametrize(
    ("value", "is_accepted"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("*", False), ("", False)],
)
def test_acceptance(value: str, is_accepted: bool) -> None:
    request = Request("GET", "/", {"accept-encoding": value})
    assert request.accepts("accept-encoding", "gzip") is is_accepted


def test_answer_tells_its_length_and_ends() -> None:
    head, _, body = respond(Request("GET", "/", {}), plain(HTTPStatus.OK, "well\n")).partition(
        b"\r\n\r\n"
    )
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert {"Content-Length: 5", "Connection: close"} <= set(lines)
    assert body == b"well\n"


def test_head_has_no_body_but_its_length() -> None:
    answer = respond(Request("HEAD", "/", {}), plain(HTTPStatus.OK, "well\n"))
    assert b"Content-Length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_long_answers_are_compressed_for_who_takes_it() -> None:
    response = Response(HTTPStatus.OK, b"x" * 5000)
    head, _, body = respond(Request("GET", "/", {"accept-encoding": "gzip"}), response).partition(
        b"\r\n\r\n"
    )
    assert b"Content-Encoding: gzip" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert gzip.decompress(body) == response.body
    assert respond(Request("GET", "/", {}), response).endswith(response.body)
