"""The HTTP server of the observer: a thread a connection, few at a time, none for long.

Law: whoever connects gets DEADLINE_S for all of it, from the first byte of the request to the last
of the answer, and CONNECTIONS_MAX are served at a time; who comes when that many are there is told
so and not read. So nobody can keep others from their scrape for longer than the deadline, nor make
this process grow. Nothing is logged of a request: a scrape is no event.
Partner: `http.py`, the words; `pages.py`, the answers.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus

from greenpool.observe import events
from greenpool.observe.http import BadRequest, Request, RequestReader, Response, plain, respond

log = logging.getLogger(__name__)

CONNECTIONS_MAX = 16
DEADLINE_S = 10.0
"""Prometheus itself gives a scrape ten seconds (scrape_timeout)."""

_RECV_BYTES = 4096
# What may follow a request is read and dropped, so that the answer is not lost by a reset.
_REST_BYTES_MAX = 65536
_REST_S = 1.0


class Server:
    """Serve the connections that `accept` is called for."""

    def __init__(
        self, answer: Callable[[Request], Response], deadline_s: float = DEADLINE_S
    ) -> None:
        self._answer = answer
        self._deadline_s = deadline_s
        self._places = threading.BoundedSemaphore(CONNECTIONS_MAX)

    def accept(self, listener: socket.socket) -> None:
        """Take one connection of a nonblocking listener, if it still waits. Never blocks."""
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as exc:  # no descriptor is left: the next round tries again
            events.METRICS_CROWDED.tell(log, error=exc.strerror)
            time.sleep(0.1)
            return
        if not self._places.acquire(blocking=False):
            _turn_away(connection)
            return
        threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        """Serve one connection; the outermost frame of its thread."""
        end = time.monotonic() + self._deadline_s
        try:
            with connection:
                self._converse(connection, end)
        except OSError as exc:
            log.debug("a connection ended before its answer: %s", exc)
        except Exception as exc:
            events.BUG.tell(log, exc, what="a request failed by an error that nobody expected")
        finally:
            self._places.release()

    def _converse(self, connection: socket.socket, end: float) -> None:
        request: Request | None = None
        try:
            request = _read(connection, end)
            if request is None:
                return
            answer = respond(request, self._answer(request))
        except BadRequest as exc:
            answer = respond(request, exc.response)
        connection.settimeout(max(0.001, end - time.monotonic()))
        connection.sendall(answer)
        _part(connection)


def _read(connection: socket.socket, end: float) -> Request | None:
    """Read the request; None: the other side has gone. Raises: BadRequest."""
    reader = RequestReader()
    while True:
        left_s = end - time.monotonic()
        if left_s <= 0:
            raise BadRequest(HTTPStatus.REQUEST_TIMEOUT)
        connection.settimeout(left_s)
        try:
            data = connection.recv(_RECV_BYTES)
        except TimeoutError:
            continue
        if not data:
            return None
        request = reader.feed(data)
        if request is not None:
            return request


def _part(connection: socket.socket) -> None:
    """Say that this was all, and wait a little until the other side says the same."""
    connection.shutdown(socket.SHUT_WR)
    end, left = time.monotonic() + _REST_S, _REST_BYTES_MAX
    while left > 0 and (left_s := end - time.monotonic()) > 0:
        connection.settimeout(left_s)
        data = connection.recv(_RECV_BYTES)
        if not data:
            return
        left -= len(data)


def _turn_away(connection: socket.socket) -> None:
    """Tell that there are too many; what fits into an empty socket buffer cannot block."""
    words = f"more than {CONNECTIONS_MAX} connections\n"
    with connection:
        connection.setblocking(False)
        try:
            connection.sendall(respond(None, plain(HTTPStatus.SERVICE_UNAVAILABLE, words)))
            connection.shutdown(socket.SHUT_WR)
        except OSError as exc:
            log.debug("a connection ended before it was turned away: %s", exc)
