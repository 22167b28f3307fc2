"""A logged-in client of the admin console: its socket, and how the session ends.

The socket may be gevent's or a plain one. Partner: `conversation.py`, which knows the protocol.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable

from greenpool.admin.console import Console
from greenpool.admin.conversation import Conversation
from greenpool.admin.speaker import Speaker
from greenpool.errors import ClientProtocolError, ReportedError
from greenpool.protocol.errors import ClientError, Severity, SqlState, error_response
from greenpool.protocol.frame import FrameReader
from greenpool.protocol.message import FrontendType
from greenpool.records import Reason

SEND_TIMEOUT_S = 30.0
"""Seconds for which a client may leave its answer unread before it is given up."""

LOOK_S = 0.05
"""Seconds between two looks whether a command is over, and whether its client is still there."""

_RECV_BYTES = 8192
_SEND_BYTES = 8192


def _none() -> int:
    """Count no CancelRequests: for callers that hear of none."""
    return 0


def serve(
    sock: socket.socket,
    console: Console,
    speaker: Speaker,
    early: bytes = b"",
    sleep: Callable[[float], None] = time.sleep,
    cancels: Callable[[], int] = _none,
) -> Reason:
    """Serve a client from the ReadyForQuery of its login to its end; return why it ended.

    `early` are bytes already read from it. `sleep` is called with 0 between the pieces of long
    answers: a worker passes `gevent.sleep`, so that thousands of rows do not hold up its other
    clients. `cancels` counts the CancelRequests for this client: one more ends the wait for a
    command, whose effect stays. The caller closes the socket. To end a session from outside raise
    a FATAL ReportedError in its greenlet; the client is told unless it happens within a send.
    Switches: yes. An idle console session has no timeout; it ends with its connection.
    """
    link = _Link(sock, sleep)
    try:
        try:
            return _talk(link, Conversation(console, speaker), early, cancels)
        except ReportedError as exc:
            link.say(exc)
            is_theirs = isinstance(exc, ClientProtocolError)
            return Reason.CLIENT_PROTOCOL if is_theirs else Reason.SHUTDOWN
    except OSError:
        return Reason.CLIENT_IO


def _talk(
    link: _Link, conversation: Conversation, data: bytes, cancels: Callable[[], int]
) -> Reason:
    reader = FrameReader(FrontendType)
    while True:
        for message in reader.feed(data):
            before = cancels()
            pieces = conversation.receive(message)
            for piece in pieces:
                if piece:
                    link.send(piece)
                elif not link.wait():
                    return Reason.CLIENT_EOF
                elif cancels() != before:
                    link.send(pieces.throw(_canceled()))
            if conversation.is_over:
                link.flush()
                return Reason.CLIENT_TERMINATE
        link.flush()
        data = link.receive()
        if not data:
            return Reason.CLIENT_EOF


def _canceled() -> ClientError:
    message = "canceling statement due to user request"
    hint = "What was said stays in force; after PAUSE say RESUME."
    return ClientError(Severity.ERROR, SqlState.QUERY_CANCELED, message, hint)


class _Link:
    """The socket, with answers gathered into few sends."""

    __slots__ = ("_is_in_sync", "_out", "_sleep", "_sock")

    def __init__(self, sock: socket.socket, sleep: Callable[[float], None]) -> None:
        self._sock = sock
        self._sleep = sleep
        self._out = bytearray()
        self._is_in_sync = True  # the client has whole messages: more may follow

    def receive(self) -> bytes:
        self._sock.settimeout(None)
        return self._sock.recv(_RECV_BYTES)

    def send(self, piece: bytes) -> None:
        self._out += piece
        if len(self._out) >= _SEND_BYTES:
            self.flush()
            self._sleep(0)

    def wait(self) -> bool:
        """Wait a little before the answer goes on; False: nobody is there to hear it."""
        self.flush()
        self._sleep(LOOK_S)
        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLRDHUP)
        return not poll.poll(0)

    def flush(self) -> None:
        if self._out:
            self._is_in_sync = False
            self._sock.settimeout(SEND_TIMEOUT_S)
            self._sock.sendall(self._out)
            self._out.clear()
            self._is_in_sync = True

    def say(self, error: ReportedError) -> None:
        """Send what is owed, then the last words; nothing if a message was cut short."""
        if self._is_in_sync:
            self._out += error_response(error)
            self.flush()
