"""Fixtures of the console's tests."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from greenpool.admin.session import serve
from greenpool.admin.welcome import WELCOME_PARAMETERS
from greenpool.config import Config
from greenpool.protocol import backend, frontend
from tests.unit.admin.samples import Bench, load_config, speaker

HOST = "127.0.0.1"
_CODES_ANSWERED_NO = (frontend.SSL_REQUEST_CODE, frontend.GSSENC_REQUEST_CODE)


class Server:
    """Let anyone in and give them to the console, each in a thread."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def dsn(self) -> str:
        return f"host={HOST} port={self.port} dbname=greenpool user=admin"

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            _log_in(client)
            serve(client, self.bench.console, speaker())


def _log_in(client: socket.socket) -> None:
    while True:
        length, code = struct.unpack("!II", client.recv(8, socket.MSG_WAITALL))
        client.recv(length - 8, socket.MSG_WAITALL)
        if code not in _CODES_ANSWERED_NO:
            break
        client.sendall(b"N")
    parameters = (backend.parameter_status(*each) for each in WELCOME_PARAMETERS.items())
    key = backend.backend_key_data(1, b"abcd")
    hello = (backend.authentication_ok(), *parameters, key, backend.ready_for_query())
    client.sendall(b"".join(hello))


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return load_config(tmp_path_factory.mktemp("config"))


@pytest.fixture
def bench(config: Config) -> Bench:
    return Bench(config)


@pytest.fixture
def server(bench: Bench) -> Iterator[Server]:
    it = Server(bench)
    yield it
    it.stop()
