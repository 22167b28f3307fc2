"""A wire between greenpool and PostgreSQL: remembers how connections began, may change a word."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.integration.harness.postgres import PostgreSQL

_CHUNK = 65536


class Recorder:
    """Pass on what comes to `port` to `pg`, and back; `packets` are the connections' first ones.

    `change` may replace what goes to PostgreSQL. For a few connections with small messages: sends
    may block.
    """

    def __init__(self, pg: PostgreSQL, change: Callable[[bytes], bytes] = bytes) -> None:
        self.packets: list[bytes] = []
        self._change = change
        self._clients: set[socket.socket] = set()
        self._address = (pg.host, pg.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._other_ends: dict[socket.socket, socket.socket] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()
        for sock in (self._listener, *self._other_ends):
            sock.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._is_over.is_set():
            for key, _ in self._selector.select(0.01):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._other_ends:  # not closed in this same round
                    self._pass_on(key.fileobj)

    def _accept(self) -> None:
        ours, theirs = self._listener.accept()[0], socket.create_connection(self._address)
        self._clients.add(ours)
        self._other_ends |= {ours: theirs, theirs: ours}
        self.packets.append(ours.recv(_CHUNK))
        theirs.sendall(self.packets[-1])
        for sock in (ours, theirs):
            self._selector.register(sock, selectors.EVENT_READ)

    def _pass_on(self, source: socket.socket) -> None:
        try:
            data = source.recv(_CHUNK)
            if source in self._clients:
                data = self._change(data)
            self._other_ends[source].sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            data = b""
        if not data:
            for sock in (source, self._other_ends[source]):
                del self._other_ends[sock]
                self._clients.discard(sock)
                self._selector.unregister(sock)
                sock.close()
