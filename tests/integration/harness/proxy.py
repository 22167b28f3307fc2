"""A wire to PostgreSQL that can fail as networks do, remembers, and may change a word.

with Proxy(pg) as proxy:
    proxy.fail(Fate.RESET)      # also of the connections that are there
    proxy.heal()
    proxy.delay_s = 0.05        # each way, for connections that begin from now on
with Proxy(pg, lambda data: data.replace(b"BEGIN", b"BEGIM")) as proxy:
    assert proxy.packets        # with which connections began
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Self

from tests.integration.harness.ports import PortLock
from tests.integration.harness.postgres import PostgreSQL

_CHUNK = 65536
_LOOK_S = 0.005
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER


class Fate(Enum):
    """What becomes of connections."""

    PASS = auto()
    REFUSE = auto()  # nobody listens
    RESET = auto()
    CUT = auto()  # closed in order, without a word
    BLACKHOLE = auto()  # they are there, and nothing passes


class Proxy:
    """Own the port and the thread. `change` may replace what goes to PostgreSQL.

    `attempts` counts the connections that have come, `packets` are the first ones of those that
    passed. `most_at_once`: how many of those that came to a BLACKHOLE there were at a time.
    """

    def __init__(self, pg: PostgreSQL, change: Callable[[bytes], bytes] = bytes) -> None:
        self.attempts = 0
        self.packets: list[bytes] = []
        self.most_at_once = 0
        self.delay_s = 0.0
        self._change_data = change
        self._address = (pg.host, pg.port)
        self._lock = PortLock()
        self.port = self._lock.port
        self._fate = Fate.PASS
        self._wanted = Fate.PASS
        self._listener: socket.socket | None = None
        self._other_ends: dict[socket.socket, socket.socket] = {}
        self._swallowed: dict[socket.socket, bool] = {}  # whether it has come to a BLACKHOLE
        self._clients: dict[socket.socket, bool] = {}  # whether its first packet has come
        self._delays: dict[socket.socket, float] = {}
        self._late: list[tuple[float, int, socket.socket, bytes]] = []
        self._serial = itertools.count()
        self._selector = selectors.DefaultSelector()
        self._is_over = threading.Event()
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._listen()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._deafen()
        for sock in (*self._other_ends, *self._swallowed):
            sock.close()
        self._selector.close()
        self._lock.release()

    @property
    def pool(self) -> dict[str, object]:
        """Return what a pool's settings say of its server."""
        return {"server_host": "127.0.0.1", "server_port": self.port}

    def fail(self, fate: Fate) -> None:
        """Let this happen to all connections, the present ones included."""
        self._is_done.clear()
        self._wanted = fate
        assert self._is_done.wait(10), "the proxy hangs"

    def heal(self) -> None:
        """Let those pass that come from now on; what was swallowed is reset."""
        self.fail(Fate.PASS)

    # -- in the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_over.is_set():
            if self._wanted is not self._fate:
                self._change(self._wanted)
            self._is_done.set()
            ready = [key.fileobj for key, _ in self._selector.select(_LOOK_S)]
            for sock in ready:
                if sock is not self._listener and isinstance(sock, socket.socket):
                    self._read(sock)
            if self._listener in ready:  # last: who has left makes room before others come
                self._accept()
            self._send_late()

    def _change(self, fate: Fate) -> None:
        self._fate = fate
        for sock in tuple(self._swallowed):
            self._drop(sock, is_reset=True)
        if fate is Fate.BLACKHOLE:
            for sock in self._other_ends:
                self._swallowed[sock] = False
            self._other_ends.clear()
            self._late.clear()
        elif fate is not Fate.PASS:
            for sock in tuple(self._other_ends):
                if sock in self._other_ends:
                    self._part(sock, is_reset=fate is Fate.RESET)
        if fate is Fate.REFUSE:
            self._deafen()
        elif self._listener is None:
            self._listen()

    def _accept(self) -> None:
        assert self._listener is not None
        ours = self._listener.accept()[0]
        self.attempts += 1
        if self._fate is Fate.BLACKHOLE:
            self._swallowed[ours] = True
            self._selector.register(ours, selectors.EVENT_READ)
            self.most_at_once = max(self.most_at_once, sum(self._swallowed.values()))
        elif self._fate is Fate.PASS:
            self._connect(ours)
        else:
            _close(ours, is_reset=self._fate is Fate.RESET)

    def _connect(self, ours: socket.socket) -> None:
        try:
            theirs = socket.create_connection(self._address, timeout=10)
        except OSError:  # PostgreSQL itself is away
            _close(ours, is_reset=True)
            return
        self._other_ends |= {ours: theirs, theirs: ours}
        self._clients[ours] = False
        for sock in (ours, theirs):
            self._delays[sock] = self.delay_s
            self._selector.register(sock, selectors.EVENT_READ)

    def _read(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(_CHUNK)
        except OSError:
            data = b""
        if sock in self._swallowed:
            if not data:
                self._drop(sock, is_reset=False)
        elif sock in self._other_ends:  # not parted in this same round
            if sock in self._clients:
                data = self._hear(sock, data)
            due = time.monotonic() + self._delays[sock]
            heapq.heappush(self._late, (due, next(self._serial), sock, data))

    def _hear(self, client: socket.socket, data: bytes) -> bytes:
        if not self._clients[client]:
            self._clients[client] = True
            self.packets.append(data)
        return self._change_data(data)

    def _send_late(self) -> None:
        now = time.monotonic()
        while self._late and self._late[0][0] <= now:
            _, _, sock, data = heapq.heappop(self._late)
            if sock in self._other_ends:
                self._pass_on(sock, data)

    def _pass_on(self, sock: socket.socket, data: bytes) -> None:
        try:
            if data:
                self._other_ends[sock].sendall(data)
                return
        except OSError:
            pass  # whoever does not take it has gone: so goes the other
        self._part(sock, is_reset=False)

    def _part(self, sock: socket.socket, is_reset: bool) -> None:
        for each in (sock, self._other_ends[sock]):
            del self._other_ends[each]
            self._drop(each, is_reset)

    def _drop(self, sock: socket.socket, is_reset: bool) -> None:
        self._swallowed.pop(sock, None)
        self._clients.pop(sock, None)
        self._delays.pop(sock, None)
        self._selector.unregister(sock)
        _close(sock, is_reset)

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def _deafen(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None


def _close(sock: socket.socket, is_reset: bool) -> None:
    if is_reset:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    sock.close()
