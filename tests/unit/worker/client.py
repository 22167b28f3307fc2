"""The client's side of a login, over a socketpair with a session or the fake engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gevent
from gevent import socket

from greenpool.auth.scram import MECHANISM, ScramClient
from greenpool.auth.secret import PlainPassword
from greenpool.protocol import frontend
from greenpool.protocol.frame import FrameReader
from greenpool.protocol.message import BackendType, Message
from greenpool.records import Guest
from greenpool.worker.pools import PoolEntry
from greenpool.worker.session import Session
from tests.unit.worker.fakes import FakedWorker, read_all

DEFAULTS = {"server_version": "15.1", "client_encoding": "UTF8", "application_name": ""}


def entry_of(worker: FakedWorker, database: str, user: str) -> PoolEntry:
    entry = worker.pools.find(database, user)
    assert entry is not None
    entry.learn(entry.parameters or DEFAULTS)
    return entry


def startup(
    user: str = "ada", database: str = "shop", version: int = 0x30000, **more: str
) -> bytes:
    return frontend.startup_message({"user": user, "database": database, **more}, version)


class Client:
    """The other end of a session."""

    def __init__(self, worker: FakedWorker, sock: socket.socket, theirs: socket.socket) -> None:
        self.sock = sock
        self._reader = FrameReader(BackendType)
        guest = Guest(theirs.detach(), sock.family, sock.getsockname())
        self._greenlet = gevent.spawn(Session(worker, guest).run)

    @classmethod
    def of_engine(cls, sock: socket.socket) -> Client:
        """Make one whose other end is not a session's."""
        self = cls.__new__(cls)
        self.sock, self._reader = sock, FrameReader(BackendType)
        return self

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def read(self, until: BackendType) -> list[Message]:
        messages: list[Message] = []
        while True:
            for message in self._reader.messages():
                messages.append(message)
                if message.type is until:
                    return messages
            data = self.sock.recv(65536)
            assert data, f"closed after {messages}"
            self._reader.feed(data)

    def rest(self) -> list[Message]:
        return [*self._reader.messages(), *read_all(self.sock)]

    def wait(self) -> None:
        self._greenlet.join(timeout=30)
        assert self._greenlet.successful()


@contextmanager
def connected(worker: FakedWorker, *, tcp: bool = False) -> Iterator[Client]:
    sock, theirs = _tcp_pair() if tcp else socket.socketpair()
    sock.settimeout(5)
    client = Client(worker, sock, theirs)
    try:
        yield client
    finally:
        sock.close()
        client.wait()


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.socket(socket.AF_INET) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        sock = socket.create_connection(listener.getsockname())
        return sock, listener.accept()[0]


def log_in_scram(client: Client, password: str) -> None:
    """Play the client's side of SCRAM up to its proof."""
    scram = ScramClient(PlainPassword(password))
    client.read(BackendType.AUTHENTICATION)
    client.send(frontend.sasl_initial_response(MECHANISM, scram.first()))
    challenge = client.read(BackendType.AUTHENTICATION)[-1]
    client.send(frontend.sasl_response(scram.final(challenge.body[4:])))
