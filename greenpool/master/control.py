"""The control socket: how commands reach the running master.

A UNIX socket beside the pid file, for its owner only (mode 0600). One request a connection, one
line of JSON each way:

    {"command": "status"}  ->  {"ok": true, "status": {...}}
    {"command": "upgrade", "timeout_s": 30}  ->  {"ok": true, "upgrade": {...}}
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
from typing import Any

from greenpool.master.listeners import listen_unix

log = logging.getLogger(__name__)

Reply = Callable[[Mapping[str, object]], None]
Request = Mapping[str, Any]
Handler = Callable[[Request, Reply], None]

UPGRADE_S = 30.0
"""How long an upgrade may take until the new generation is ready; it needs a second or two."""

_MODE = 0o600
_BACKLOG = 16
# Requests are a few words long, commands few: more is somebody's mistake.
_REQUEST_BYTES_MAX = 4096
_CONNECTIONS_MAX = 16
# The answer fits into the socket's buffer; whoever lets it fill may not hold up the master.
_SEND_DEADLINE_S = 1.0


class ControlServer:
    """Serve the control socket within the master's selector; `handle` gets each request.

    A request is a JSON object whose "command" is a string.
    """

    def __init__(self, path: Path, selector: selectors.BaseSelector, handle: Handler) -> None:
        """Listen. Raises: StartupError, also when a living master listens there."""
        self.path = path
        self._selector = selector
        self._handle = handle
        self._connections: dict[socket.socket, bytes] = {}
        self._listener = listen_unix(path, _MODE, _BACKLOG)
        self._file = _identity(path)
        self._is_paused = True
        self.resume()

    def move_to(self, path: Path) -> None:
        """Be found under another name, in the place of the socket of another master."""
        self.path.rename(path)
        self.path = path

    def pause(self) -> None:
        """Accept nobody for now; who connects waits."""
        if not self._is_paused:
            self._is_paused = True
            self._selector.unregister(self._listener)

    def resume(self) -> None:
        """Accept again."""
        if self._is_paused:
            self._is_paused = False
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """Take no further commands and remove the socket file, unless it is a successor's.

        Those who wait for the end are not hung up on: the end of the process does that.
        """
        if _identity(self.path) == self._file:
            self.path.unlink(missing_ok=True)
        self.pause()
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

        asked = _request_in(request)
        if asked is None:
            reply({"ok": False, "error": "the request is not a JSON object with a command"})
            return
        self._connections[connection] = b""
        self._handle(asked, reply)

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


def _request_in(request: bytes) -> Request | None:
    try:
        fields = json.loads(request)
    except ValueError:
        return None
    if not isinstance(fields, dict) or not isinstance(fields.get("command"), str):
        return None
    return fields


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells this file from another of the same name; None: there is none."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
