"""The server's bounds: how many at a time, how long, how much."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import pytest

from greenpool.observe.http import Request, Response, plain
from greenpool.observe.server import CONNECTIONS_MAX, Server
from tests.integration.harness.waiting import wait_for

ASK = b"GET / HTTP/1.1\r\n\r\n"
DEADLINE_S = 10.0


def answer(request: Request) -> Response:
    return plain(HTTPStatus.OK, f"{request.path}\n")


@contextmanager
def serving(server: Server, address: str = "127.0.0.1") -> Iterator[tuple[str, int]]:
    """Accept in a thread, as the observer does in its own."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        socket.create_server((address, 0), family=family) as listener,
        selectors.DefaultSelector() as selector,
    ):
        listener.setblocking(False)
        stop, wake = socket.socketpair()
        selector.register(listener, selectors.EVENT_READ)
        selector.register(stop, selectors.EVENT_READ)

        def accept() -> None:
            while all(key.fileobj is listener for key, _ in selector.select()):
                server.accept(listener)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[:2]
        finally:
            wake.close()
            thread.join()
            stop.close()


def rest_of(sock: socket.socket) -> bytes:
    """Read to the end, or to a reset."""
    data = b""
    try:
        while chunk := sock.recv(65536):
            data += chunk
    except ConnectionResetError:
        pass
    return data


def ask(address: tuple[str, int], data: bytes = ASK) -> bytes:
    with socket.create_connection(address, timeout=DEADLINE_S) as sock:
        sock.sendall(data)
        return rest_of(sock)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_request_is_answered_and_the_connection_ends(address: str) -> None:
    with serving(Server(answer), address) as where:
        assert ask(where).endswith(b"\r\n\r\n/\n")


def test_second_request_on_a_connection_is_not_read() -> None:
    with serving(Server(answer)) as where:
        assert ask(where, ASK * 2).count(b"HTTP/1.1 200") == 1


def test_bad_request_is_told() -> None:
    with serving(Server(answer)) as where:
        assert ask(where, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert ask(where, b"x" * 9000).startswith(b"HTTP/1.1 431 ")


def test_slow_request_is_ended_by_the_deadline() -> None:
    with serving(Server(answer, deadline_s=0.2)) as where:
        assert ask(where, b"GET / HTTP").startswith(b"HTTP/1.1 408 ")


def test_too_many_connections_are_turned_away_and_places_come_back() -> None:
    with serving(Server(answer)) as where:
        held = [socket.create_connection(where, DEADLINE_S) for _ in range(CONNECTIONS_MAX)]
        try:
            with socket.create_connection(where, DEADLINE_S) as one_more:
                assert rest_of(one_more).startswith(b"HTTP/1.1 503 ")
        finally:
            for each in held:
                each.sendall(ASK)
                assert rest_of(each).startswith(b"HTTP/1.1 200 ")
                each.close()
        while not ask(where).startswith(b"HTTP/1.1 200 "):  # its threads are on their way out
            pass


def test_answer_that_fails_ends_the_connection_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(request: Request) -> Response:
        if request.path == "/bad":
            raise RuntimeError("a bug")
        return answer(request)

    with serving(Server(fail)) as where:
        assert ask(where, ASK.replace(b"/ ", b"/bad ")) == b""
        assert ask(where).startswith(b"HTTP/1.1 200 ")
    wait_for(lambda: "a request failed" in caplog.text, "it is logged")
