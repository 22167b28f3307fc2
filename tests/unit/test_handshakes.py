"""Guests with TLS: what the engine does of a handshake, and what is left for Python."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenpool.protocol import frontend
from greenpool.records import EngineIo, Event, EventKind, Guest
from greenpool.tls import TlsContext, TlsFailure, TlsSession
from tests.integration.harness.certificates import Authority
from tests.unit.house import LOCAL, OK, PACKET, READY, House, open_house

CONSENT = b"S"
CROWD = 40  # more than have a turn in one batch


class Visitor:
    """A client with TLS in memory: nothing in it waits, so that the engine steps in between."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self._outgoing)
        self.said = b""
        self.is_silent = False  # what it says is kept, to leave with what follows

    def ask(self) -> None:
        self.sock.send(frontend.ssl_request())

    def hears(self, what: bytes) -> bool:
        """Whether it has been told exactly this, in plain text."""
        return _peek(self.sock, len(what)) == what and self.sock.recv(len(what)) == what

    def shake(self) -> bool:
        """Go on with the handshake; whether it is done."""
        self._listen()
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._speak()
        return True

    def say(self, text: bytes) -> None:
        self.tls.write(text)
        self._speak()

    def has_heard(self, ending: bytes) -> bool:
        self._listen()
        try:
            while data := self.tls.read(4096):
                self.said += data
        except ssl.SSLWantReadError:
            pass
        return self.said.endswith(ending)

    def _listen(self) -> None:
        if data := _peek(self.sock, 65536):
            self.incoming.write(self.sock.recv(len(data)))

    def _speak(self) -> None:
        if not self.is_silent and (data := self._outgoing.read()):
            self.sock.send(data)


def _peek(sock: socket.socket, count: int) -> bytes:
    try:
        return sock.recv(count, socket.MSG_PEEK)
    except BlockingIOError:
        return b""


class Hall:
    """A house whose first worker shakes hands, and who visits it."""

    def __init__(self, house: House, authority: Authority) -> None:
        issued = authority.issue("greenpool", addresses=["127.0.0.1"])
        pem = issued.certificate.read_bytes()
        self.house = house
        self.who = LOCAL + b"T" + hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).digest()
        self.tls = TlsContext(is_server=True)
        self.tls.set_certificate(pem)
        self.tls.set_key(issued.key.read_bytes())
        self.tls.set_authorities(authority.certificate.read_bytes())
        self.client = ssl.create_default_context(cafile=str(authority.certificate))
        self.client.check_hostname = False
        self._authority = authority
        house.manners(house.engines[0], guests_max=2 * CROWD, offers_tls=True, tls=self.tls)
        house.open(0)

    def show_certificate(self) -> None:
        issued = self._authority.issue("ada")
        self.client.load_cert_chain(issued.certificate, issued.key)

    def visitor(self) -> Visitor:
        return Visitor(self.house.visitor(), self.client)

    def consented(self) -> Visitor:
        """One that has asked for TLS, and may have it."""
        visitor = self.visitor()
        visitor.ask()
        self.house.run(lambda _: visitor.hears(CONSENT))
        return visitor

    def shaken(self) -> Visitor:
        visitor = self.consented()
        self.house.run(lambda _: visitor.shake())
        return visitor

    def guest(self) -> tuple[Guest, TlsSession]:
        """Have the next guest that is Python's, with a session."""
        guest = self.house.next_guest()
        assert guest.tls is not None
        return guest, guest.tls


@pytest.fixture(params=EngineIo, ids=str)
def hall(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hall]:
    with open_house(request.param) as house:
        yield Hall(house, Authority(tmp_path))


def test_known_guest_is_let_in_through_tls_without_python(hall: Hall) -> None:
    hall.house.know(hall.who)
    visitor = hall.shaken()
    visitor.say(PACKET)
    events = hall.house.run(lambda _: visitor.has_heard(READY))
    assert {each.kind for each in events} == {EventKind.SERVED}
    assert visitor.said.startswith(OK)
    (client,) = hall.house.engines[0].clients()
    row = hall.house.segment.client_row(client)
    assert row is not None
    assert row.tls.startswith("TLSv1.3/")


def test_packet_in_the_handshakes_last_flight_is_read(hall: Hall) -> None:
    hall.house.know(hall.who)
    visitor = hall.consented()
    visitor.shake()
    visitor.is_silent = True
    hall.house.run(lambda _: visitor.shake())
    visitor.is_silent = False
    visitor.say(PACKET)
    hall.house.run(lambda _: visitor.has_heard(READY))


def test_unknown_guest_is_pythons_with_its_session(hall: Hall) -> None:
    hall.house.know(LOCAL)  # without TLS it would be let in
    visitor = hall.shaken()
    visitor.say(PACKET)
    guest, tls = hall.guest()
    assert (guest.said, guest.is_direct) == (PACKET, False)
    assert tls.handshake()
    tls.write(b"hello")
    os.write(guest.fd, tls.take())
    hall.house.run(lambda _: visitor.has_heard(b"hello"))


def test_guest_with_a_certificate_is_pythons(hall: Hall) -> None:
    hall.house.know(hall.who)
    hall.show_certificate()
    hall.shaken().say(PACKET)
    guest, tls = hall.guest()
    peer = tls.facts().peer
    assert (guest.said, peer and peer.common_name) == (PACKET, "ada")


def test_encryption_within_encryption_is_pythons_to_refuse(hall: Hall) -> None:
    hall.shaken().say(frontend.ssl_request())
    assert hall.guest()[0].said == frontend.ssl_request()


def test_words_behind_the_request_are_pythons_to_refuse(hall: Hall) -> None:
    hall.visitor().sock.send(frontend.ssl_request() + b"x")
    guest = hall.house.next_guest()
    assert (guest.said, guest.tls) == (frontend.ssl_request() + b"x", None)


def test_failed_handshake_is_pythons_to_tell(hall: Hall) -> None:
    hall.consented().sock.send(b"GET / HTTP/1.1\r\n\r\n")
    _, tls = hall.guest()
    with pytest.raises(TlsFailure, match="http request"):
        tls.handshake()


@pytest.mark.parametrize("has_alpn", [False, True])
def test_direct_handshake(hall: Hall, has_alpn: bool) -> None:
    if has_alpn:
        hall.client.set_alpn_protocols(["postgresql"])
        hall.house.know(hall.who)
    visitor = hall.visitor()
    hall.house.run(lambda _: visitor.shake())
    if has_alpn:
        visitor.say(PACKET)
        hall.house.run(lambda _: visitor.has_heard(READY))
    else:
        guest, tls = hall.guest()
        assert (guest.is_direct, tls.facts().has_alpn) == (True, False)


def test_handshake_goes_on_in_python_where_it_is(hall: Hall) -> None:
    """As when its time is over, or the worker ends."""
    visitor = hall.consented()
    visitor.shake()
    hall.house.run(lambda _: _peek(visitor.sock, 1) != b"")
    guest = hall.house.engines[0].take_guest(any_of_them=True)
    assert guest is not None
    assert guest.tls is not None
    assert visitor.shake()
    with socket.socket(fileno=guest.fd) as sock:
        sock.setblocking(True)
        guest.tls.feed(sock.recv(65536))
        assert guest.tls.handshake()


def test_guest_that_leaves_within_the_handshake_is_forgotten(hall: Hall) -> None:
    first, second = hall.consented(), hall.consented()
    first.shake()
    first.sock.close()
    second.sock.close()
    hall.house.run(lambda _: hall.house.engines[0].guest_count() == 0)


def test_all_of_a_crowd_have_their_turn(hall: Hall) -> None:
    crowd = [hall.consented() for _ in range(CROWD)]
    for each in crowd:
        each.shake()
    done: set[int] = set()

    def all_are_done(_: list[Event]) -> bool:
        done.update(at for at, each in enumerate(crowd) if at not in done and each.shake())
        return len(done) == CROWD

    hall.house.run(all_are_done)


def test_guests_keep_what_their_handshake_began_with(hall: Hall) -> None:
    """A reload changes the certificate, or takes it away, while somebody shakes hands."""
    visitor = hall.consented()
    hall.house.manners(hall.house.engines[0])
    del hall.tls
    hall.house.run(lambda _: visitor.shake())
    late = hall.visitor()
    late.ask()
    hall.house.run(lambda _: late.hears(b"N"))
