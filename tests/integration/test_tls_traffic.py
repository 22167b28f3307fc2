"""What goes through TLS towards clients, and handshakes that go wrong."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.differential import copying, edges, extended, simple
from tests.integration.differential.conversation import Address, play
from tests.integration.differential.difference import differences
from tests.integration.differential.stage import Stage, playable, pool_of
from tests.integration.harness import messages
from tests.integration.harness.pooler import QUIET, Pooler
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.tls import House, copy_in_and_out, is_well
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import ClosedByPeer, Wire

pytestmark = ANY_POSTGRESQL

MB = 1 << 20


@pytest.fixture
def pooler(make_pooler: MakePooler, house: House) -> Pooler:
    return make_pooler(2, **house.settings())


# ---- handshakes that go wrong --------------------------------------------------------------------


def test_bytes_behind_sslrequest_are_refused(pooler: Pooler) -> None:
    with Wire.connect(pooler.host, pooler.port) as wire:
        startup = messages.startup({"user": "app", "database": "app"})
        wire.send(messages.ssl_request() + startup)
        (error,) = wire.read_to_end()
    assert error.fields["M"] == "received unencrypted data after SSL request"
    assert error.fields["C"] == "08P01"


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        messages.startup({"user": "app", "database": "app"}),
        b"\x16\x03\x01\xff\xff" + b"x" * 200,
        b"\x16\x03\x01\x00\x05hello",
        b"\x16\x03\x01\x40\x00" + b"\x01\x00\x3f\xfc" + b"\x00" * 100,
    ],
    ids=["http", "startup", "too long", "nonsense", "truncated"],
)
def test_garbage_instead_of_a_handshake(pooler: Pooler, data: bytes) -> None:
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.send(messages.ssl_request())
        assert wire.read_bytes(1) == b"S"
        wire.send(data)
        wire.half_close()
        try:
            rest = wire.read_bytes(10_000)
        except (ClosedByPeer, ConnectionResetError):
            rest = bytes(wire._unread)
    assert rest[:1] in (b"", b"\x15")  # nothing, or an alert: never a word of the protocol
    assert is_well(pooler)


def test_handshake_that_stands_still_is_ended(make_pooler: MakePooler, house: House) -> None:
    pooler = make_pooler(1, **house.settings(client_login_timeout="300ms"))
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.send(messages.ssl_request())
        assert wire.read_bytes(1) == b"S"
        wire.send(b"\x16\x03\x01")
        assert wire.read_to_end() == []
    assert is_well(pooler)


def test_changed_record_ends_the_connection(pooler: Pooler, house: House) -> None:
    with Wire.connect(pooler.host, pooler.port, house.context()) as wire:
        wire.login()
        assert wire.rows("select 1") == [[b"1"]]
        raw = socket.socket(fileno=wire.sock.detach())
        with raw:
            raw.settimeout(5)
            raw.sendall(b"\x17\x03\x03\x00\x40" + bytes(64))
            while raw.recv(4096):
                pass
    assert is_well(pooler)
    wait_for(
        lambda: not [row for row in pooler.admin("show clients") if row["user"] == "app"],
        "its place is free",
    )


def test_gssapi_is_refused_before_tls_is_granted(pooler: Pooler, house: House) -> None:
    sock = socket.create_connection((pooler.host, pooler.port), 5)
    for request, answer in ((messages.gssenc_request(), b"N"), (messages.ssl_request(), b"S")):
        sock.sendall(request)
        assert sock.recv(1) == answer
    with house.context().wrap_socket(sock, server_hostname=pooler.host) as secure:
        wire = Wire(secure)
        wire.login()
        assert wire.rows("select 1") == [[b"1"]]


def test_second_sslrequest_within_tls_is_refused(pooler: Pooler, house: House) -> None:
    with Wire.connect(pooler.host, pooler.port, house.context()) as wire:
        wire.send(messages.ssl_request())
        (error,) = wire.read_to_end()
    assert error.fields["M"].startswith("unsupported frontend protocol 1234.5679")


# ---- within ------------------------------------------------------------------------------------


@contextmanager
def bounded(pooler: Pooler, growth_mb: float) -> Iterator[None]:
    """See that no worker grows by more than that, sanitizers' memory of what was freed aside."""
    growth_mb += 32 if "GREENPOOL_SANITIZED" in os.environ else 0
    workers = [psutil.Process(pid) for pid in pooler.worker_pids()]
    before = [each.memory_info().rss for each in workers]
    yield
    grown = [each.memory_info().rss - old for each, old in zip(workers, before, strict=True)]
    assert max(grown) < growth_mb * MB, [f"{each / MB:.1f} MB" for each in grown]


def test_large_results_and_copies(make_pooler: MakePooler, house: House) -> None:
    pooler = make_pooler(2, **house.settings(**QUIET))
    with pooler.connect(sslmode="require") as connection:
        connection.execute("select 1")
        with bounded(pooler, 8):
            rows = connection.execute(
                "select repeat(n::text, 1000) from generate_series(1, 5000) n"
            ).fetchall()
            assert sum(len(text) for (text,) in rows) == 18893 * 1000
            [(text,)] = connection.execute("select repeat('xyz', 5000000)").fetchall()
            assert text == "xyz" * 5_000_000
        copy_in_and_out(connection)


def test_client_that_does_not_read_stops_the_server(
    make_pooler: MakePooler, house: House, pg: PostgreSQL
) -> None:
    pooler = make_pooler(1, **house.settings(**QUIET))
    with Wire.connect(pooler.host, pooler.port, house.context()) as wire:
        wire.login()
        wire.rows("select 1")
        with bounded(pooler, 4):
            wire.send(messages.query("select repeat('x', 50000000)"))
            waits = (
                "select 1 from pg_stat_activity where usename = 'app' "
                "and wait_event = 'ClientWrite'"
            )
            wait_for(lambda: pg.sql(waits), "PostgreSQL waits for its client")
            row = next(each for each in wire.read_until(b"Z") if each.kind == b"D")
        assert len(row.body) == 50_000_006
        assert wire.rows("select 2") == [[b"2"]]


def test_half_close_gets_its_answers(pooler: Pooler, house: House) -> None:
    with Wire.connect(pooler.host, pooler.port, house.context()) as wire:
        wire.login()
        wire.send(messages.query("select pg_sleep(0.1), 'late'"))
        wire.half_close()
        heard = wire.read_to_end()
    assert [each.values[1] for each in heard if each.kind == b"D"] == [b"late"]


@pytest.mark.parametrize("last_words", [messages.terminate(), b"?\0\0\0\4"])
def test_goodbye_says_that_nothing_follows(pooler: Pooler, house: House, last_words: bytes) -> None:
    """Without close_notify Python's TLS would raise at the end of the stream."""
    sock = socket.create_connection((pooler.host, pooler.port), 5)
    sock.sendall(messages.ssl_request())
    assert sock.recv(1) == b"S"
    context = house.context()
    with context.wrap_socket(
        sock, server_hostname=pooler.host, suppress_ragged_eofs=False
    ) as secure:
        wire = Wire(secure)
        wire.login()
        wire.send(last_words)
        assert [each.fields["C"] for each in wire.read_to_end()] in ([], ["08P01"])


@pytest.mark.parametrize("encrypted", [True, False])
def test_cancel_requests_with_and_without_tls(
    make_pooler: MakePooler, house: House, pg: PostgreSQL, encrypted: bool
) -> None:
    pooler = make_pooler(2, **house.settings(tls_mode="require"))
    with Wire.connect(pooler.host, pooler.port, house.context()) as wire:
        wire.login()
        wire.send(messages.query("select pg_sleep(30)"))
        asleep = "select 1 from pg_stat_activity where wait_event = 'PgSleep'"
        wait_for(lambda: pg.sql(asleep), "the query runs")
        context = house.context() if encrypted else None
        with Wire.connect(pooler.host, pooler.port, context) as other:
            other.send(messages.cancel_request(wire.backend_key))
            assert other.read_to_end() == []
        heard = wire.read_until(b"Z")
    assert next(each.fields["C"] for each in heard if each.kind == b"E") == "57014"


def test_admin_console_over_tls(make_pooler: MakePooler, house: House) -> None:
    pooler = make_pooler(1, **house.settings(tls_mode="require"))
    assert pooler.admin("show version")
    with Wire.connect(pooler.host, pooler.port, house.context()) as wire:
        wire.login("admin", "greenpool", "admin-secret")
        assert len(wire.rows("show config")) > 50
        wire.send(messages.terminate())
        assert wire.read_to_end() == []


def test_sessions_are_resumed_by_any_worker(make_pooler: MakePooler, house: House) -> None:
    pooler = make_pooler(2, **house.settings())
    context = house.context()
    session: ssl.SSLSession | None = None
    resumed = []
    for _ in range(30):  # enough that both workers have had some
        sock = socket.create_connection((pooler.host, pooler.port), 5)
        sock.sendall(messages.ssl_request())
        assert sock.recv(1) == b"S"
        with context.wrap_socket(sock, server_hostname=pooler.host, session=session) as secure:
            wire = Wire(secure)
            wire.login()
            assert wire.rows("select 1") == [[b"1"]]
            resumed.append(secure.session_reused)
            session = session or secure.session
    assert resumed == [False] + [True] * 29


def test_client_with_a_certificate_is_never_resumed(make_pooler: MakePooler, house: House) -> None:
    pooler = make_pooler(1, **house.asking())
    context = house.context(client=house.authority.issue("app"))
    with Wire.connect(pooler.host, pooler.port, context) as wire:
        wire.login()
        assert isinstance(wire.sock, ssl.SSLSocket)
        assert wire.sock.session is None or not wire.sock.session.has_ticket


def test_handshakes_wait_their_turn(make_pooler: MakePooler, house: House) -> None:
    pooler = make_pooler(2, **house.settings(tls_rate_limit_per_second=20))
    began = time.monotonic()
    for _ in range(6):
        Wire.connect(pooler.host, pooler.port, house.context()).sock.close()
    assert time.monotonic() - began >= 5 / 20
    pooler.reload(tls_rate_limit_per_second=1, client_login_timeout="1s")
    socks = [socket.create_connection((pooler.host, pooler.port), 5) for _ in range(4)]
    for sock in socks:
        sock.sendall(messages.ssl_request())
    answers = [sock.recv(1) for sock in socks]
    assert answers.count(b"S") in (1, 2)
    assert answers.count(b"") == 4 - answers.count(b"S")  # their turn would come too late
    for sock in socks:
        sock.close()


def test_openssl_s_client(pooler: Pooler, house: House) -> None:
    done = subprocess.run(
        [
            *("openssl", "s_client", "-starttls", "postgres", "-brief", "-verify_return_error"),
            *("-CAfile", str(house.authority.certificate), "-verify_ip", "127.0.0.1"),
            *("-connect", f"{pooler.host}:{pooler.port}"),
        ],
        input=b"",
        capture_output=True,
        timeout=10,
    )
    said = done.stderr.decode()
    assert done.returncode == 0, said
    assert "Verification: OK" in said
    assert "Protocol version: TLSv1.3" in said


@pytest.mark.timeout(120)
@pytest.mark.parametrize("group", ["simple", "pipelines", "copy", "sizes", "goodbyes"])
def test_conversations_are_those_of_a_plain_connection(
    pg: PostgreSQL, database: str, make_pooler: MakePooler, house: House, group: str
) -> None:
    scripts = {
        "simple": simple.QUERIES + simple.TRANSACTIONS,
        "pipelines": extended.PIPELINES + extended.ERRORS,
        "copy": copying.OUT + copying.IN,
        "sizes": edges.SIZES,
        "goodbyes": edges.GOODBYES,
    }[group]
    pooler = make_pooler(2, pools={database: pool_of(1)}, **house.settings())
    secure = Address(pooler.host, pooler.port, database, tls=house.context())
    found = []
    with Stage(pg, database) as stage:
        for script in playable(scripts, 1):
            heard = []
            for address in (stage.address, secure):
                stage.reset()
                heard.append(play(script, address))
                stage.assert_quiet()
            told = differences(heard[0], heard[1], script.texts_differ)
            found += [f"{script.name}: {each}" for each in told]
    assert not found, "\n".join(found)


def test_long_records_are_not_sent(pooler: Pooler, house: House) -> None:
    """PostgreSQL's own hold 8 KB; libpq in async mode has stalled on longer ones."""
    sock = socket.create_connection((pooler.host, pooler.port), 5)
    sock.sendall(messages.ssl_request())
    assert sock.recv(1) == b"S"
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = house.context().wrap_bio(incoming, outgoing, server_hostname=pooler.host)
    talk = _Talk(sock, session, incoming, outgoing)
    talk.until(session.do_handshake)
    wire = Wire(talk)  # type: ignore[arg-type]  # as much of a socket as a Wire needs
    wire.login()
    wire.rows("select repeat('x', 1000000)")
    sock.close()
    assert 8192 < max(talk.lengths()) <= 8192 + 256


class _Talk:
    """Pump a session by hand, so that its records can be seen."""

    def __init__(
        self,
        sock: socket.socket,
        session: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
    ) -> None:
        self.sock, self.session = sock, session
        self.incoming, self.outgoing = incoming, outgoing
        self.seen = bytearray()

    def until(self, act: Any) -> Any:
        while True:
            try:
                return act()
            except ssl.SSLWantReadError:
                self._flush()
                data = self.sock.recv(65536)
                self.seen += data
                self.incoming.write(data)
            finally:
                self._flush()

    def recv(self, size: int) -> bytes:
        data: bytes = self.until(lambda: self.session.read(size))
        return data

    def sendall(self, data: bytes) -> None:
        self.session.write(data)
        self._flush()

    def settimeout(self, seconds: float) -> None:
        self.sock.settimeout(seconds)

    def lengths(self) -> list[int]:
        found, at = [], 0
        while at + 5 <= len(self.seen):
            (length,) = struct.unpack_from("!H", self.seen, at + 3)
            found.append(length)
            at += 5 + length
        return found

    def _flush(self) -> None:
        if data := self.outgoing.read():
            self.sock.sendall(data)
