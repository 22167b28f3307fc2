"""The master's end of its conversation with one worker. Partner: `greenpool.worker.control`."""

from __future__ import annotations

import socket

from greenpool.worker.control import ControlMessage, ControlReader, ControlSender

# A worker reads its control socket whenever its hub turns. One that has let a whole socket buffer
# fill, and does not read for this long, is stuck.
SEND_DEADLINE_S = 2.0


class WorkerLink:
    """Own one end of the socketpair; `pair` makes it with the worker's end."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sender = ControlSender(sock)
        self._reader = ControlReader(sock)

    @classmethod
    def pair(cls) -> tuple[WorkerLink, socket.socket]:
        """Return the master's end and the socket for the worker."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.settimeout(SEND_DEADLINE_S)
        return cls(ours), theirs

    def fileno(self) -> int:
        return self._sock.fileno()

    def send(self, message: ControlMessage) -> None:
        """Send one message. Raises: OSError; after TimeoutError the stream is of no more use."""
        self._sender.send(message)

    def receive(self) -> list[ControlMessage] | None:
        """Return what has arrived; None: the worker has closed its end. Call when readable."""
        return self._reader.receive()

    def close(self) -> None:
        self._sock.close()
