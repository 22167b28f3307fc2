"""The control socket: how commands reach the running master.

A UNIX socket beside the pid file, for its owner only (mode 0600). One request a connection, one
line of JSON each way:

    {"command": "status"}  ->  {"ok": true, "status": {...}}
    {"command": "nonsense"}  ->  {"ok": false, "error": "..."}

The connection stays open until the master has answered, which for a reload is when all workers
have taken it over; after "stop" it stays open until the master exits, so that end of file means
that nothing is left running.

Partner: `command`, the other end.
"""

from __future__ import annotations

import json
import logging
import selectors
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from greenpool.master.listeners import listen_unix

log = logging.getLogger(__name__)

Reply = Callable[[Mapping[str, object]], None]
Handler = Callable[[str, Reply], None]

_MODE = 0o600
_BACKLOG = 16
# Requests are a few words long, commands few: more is somebody's mistake.
_REQUEST_BYTES_MAX = 4096
_CONNECTIONS_MAX = 16
# The answer fits into the socket's buffer; whoever lets it fill may not hold up the master.
_SEND_DEADLINE_S = 1.0


class ControlServer:
    """Serve the control socket within the master's selector; `handle` gets each command."""

    def __init__(self, path: Path, selector: selectors.BaseSelector, handle: Handler) -> None:
        """Listen. Raises: StartupError, also when a living master listens there."""
        self.path = path
        self._selector = selector
        self._handle = handle
        self._connections: dict[socket.socket, bytes] = {}
        self._listener = listen_unix(path, _MODE, _BACKLOG)
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """Remove the socket file and take no further commands.

        Those who wait for the end are not hung up on: the end of the process does that.
        """
        self.path.unlink(missing_ok=True)
        self._selector.unregister(self._listener)
        self._listener.close()

    def close_in_child(self) -> None:
        """Drop a worker's copies; the files and conversations are the master's. After fork."""
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        if len(self._connections) >= _CONNECTIONS_MAX:
            connection.close()
            return
        connection.setblocking(False)
        self._connections[connection] = b""
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._read(connection))

    def _read(self, connection: socket.socket) -> None:
        try:
            chunk = connection.recv(_REQUEST_BYTES_MAX)
        except BlockingIOError:
            return
        except ConnectionError:
            chunk = b""
        request = self._connections[connection] + chunk
        if not chunk or len(request) > _REQUEST_BYTES_MAX:
            self._drop(connection)
            return
        self._connections[connection] = request
        if b"\n" in request:
            self._answer(connection, request)

    def _answer(self, connection: socket.socket, request: bytes) -> None:
        def reply(fields: Mapping[str, object]) -> None:
            self._send(connection, fields)

        command = _command_in(request)
        if command is None:
            reply({"ok": False, "error": "the request is not a JSON object with a command"})
            return
        self._connections[connection] = b""
        self._handle(command, reply)

    def _send(self, connection: socket.socket, fields: Mapping[str, object]) -> None:
        if connection not in self._connections:
            return  # it has hung up in the meantime
        connection.settimeout(_SEND_DEADLINE_S)
        try:
            connection.sendall(json.dumps(fields).encode() + b"\n")
        except OSError as exc:
            log.debug("a command did not wait for its answer: %s", exc)
            self._drop(connection)
        else:
            connection.setblocking(False)

    def _drop(self, connection: socket.socket) -> None:
        del self._connections[connection]
        self._selector.unregister(connection)
        connection.close()


def _command_in(request: bytes) -> str | None:
    try:
        fields = json.loads(request)
    except ValueError:
        return None
    command = fields.get("command") if isinstance(fields, dict) else None
    return command if isinstance(command, str) else None
