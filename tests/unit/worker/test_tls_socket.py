"""TLS over a socketpair: our socket on one side, Python's own TLS on the other."""

from __future__ import annotations

import socket as plain
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket

from greenpool.tls import TlsContext, TlsFailure
from greenpool.worker.tls_socket import TlsSocket, unwrap
from tests.integration.harness.certificates import Authority, Issued


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def own(authority: Authority) -> Issued:
    return authority.issue("greenpool", addresses=["127.0.0.1"])


@pytest.fixture
def context(own: Issued) -> TlsContext:
    context = TlsContext(is_server=True)
    context.set_certificate(own.certificate.read_bytes())
    context.set_key(own.key.read_bytes())
    return context


Run = Callable[..., "Future[Any]"]


@pytest.fixture
def wires() -> Iterator[tuple[socket.socket, plain.socket, Run]]:
    """Return our end, the client's plain one, and what runs its blocking calls in a thread."""
    theirs, ours = plain.socketpair()
    theirs.settimeout(5)
    ours.setblocking(False)
    with ThreadPoolExecutor(1) as threads, theirs, socket.socket(fileno=ours.detach()) as own_end:
        yield own_end, theirs, threads.submit


def _client(authority: Authority, sock: plain.socket) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    return context.wrap_socket(sock, server_hostname="127.0.0.1")


def _wait(future: Future[Any]) -> Any:
    with gevent.Timeout(5):
        while not future.done():
            gevent.sleep(0.001)
    return future.result()


@pytest.mark.parametrize("in_thread", [False, True])
def test_bytes_go_both_ways(context, wires, authority, in_thread):
    ours, theirs, run = wires
    shaken = run(_client, authority, theirs)
    secure = TlsSocket(ours, context.session())
    facts = secure.handshake(b"", gevent.get_hub().threadpool if in_thread else None)
    assert (facts.version, facts.has_alpn, facts.peer) == ("TLSv1.3", False, None)
    assert len(facts.binding) == 32
    with _wait(shaken) as client:
        secure.sendall(b"hello" * 10_000)
        assert _wait(run(_read, client, 50_000)) == b"hello" * 10_000
        client.sendall(b"x" * 30_000)
        received = b""
        while len(received) < 30_000:
            received += secure.recv(8192)
        assert received == b"x" * 30_000
        secure.shutdown(plain.SHUT_WR)
        assert _wait(run(client.recv, 10)) == b""


def test_what_came_early_is_handed_over(context, wires, authority):
    ours, theirs, run = wires
    shaken = run(_client, authority, theirs)
    secure = TlsSocket(ours, context.session())
    secure.handshake()
    with _wait(shaken) as client:
        client.sendall(b"a" * 2000)
        client.sendall(b"b" * 2000)
        assert secure.recv(1) == b"a"
        fd, session, rest = unwrap(secure)
        assert session is not None
        assert rest == b"a" * 1999 + b"b" * 2000
        plain.socket(fileno=fd).close()


def test_alert_tells_why_a_handshake_failed(context, wires):
    ours, theirs, _ = wires
    theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(TlsFailure, match="http request"):
        TlsSocket(ours, context.session()).handshake()


def test_peer_that_leaves_the_handshake_is_no_failure_of_tls(context, wires):
    ours, theirs, _ = wires
    theirs.sendall(b"\x16\x03\x01")
    theirs.shutdown(plain.SHUT_WR)
    with pytest.raises(ConnectionAbortedError):
        TlsSocket(ours, context.session()).handshake()


def test_session_outlives_a_greenlet_that_is_killed_while_a_thread_has_it(
    context, wires, authority
):
    ours, theirs, run = wires
    shaken = run(_client, authority, theirs)
    begun: Future[None] = Future()

    def slow(step):
        time.sleep(0.05)
        return step()

    class Threads:
        def apply(self, step):
            begun.set_result(None)
            return gevent.get_hub().threadpool.apply(slow, (step,))

    greenlet = gevent.spawn(TlsSocket(ours, context.session()).handshake, b"", Threads())
    _wait(begun)
    greenlet.kill()
    del greenlet
    ours.close()
    with pytest.raises(OSError, match=r".+"):
        _wait(shaken)


def _read(sock: plain.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += sock.recv(count - len(data))
    return data
