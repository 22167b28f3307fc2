"""Two workers of one segment in this process, and their door: for tests of guests."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from greenpool.engine import Engine, io_uring_refusal
from greenpool.login import Challenge, LoginPlan, Terms
from greenpool.protocol import frontend
from greenpool.records import (
    EngineIo,
    Event,
    EventKind,
    Guest,
    GuestManners,
    LoginMethod,
    NoteKind,
)
from greenpool.segment import Segment
from greenpool.tls import TlsContext
from tests.unit.test_engine import SETTINGS

PACKET = frontend.startup_message({"user": "ada", "database": "shop"}, 0x30000)
LOCAL = b"127.0.0.1\0"
READY = b"Z\0\0\0\x05I"
OK = b"R\0\0\0\x08\0\0\0\0"
TERMINATE = b"X\0\0\0\x04"
ROUNDS = 1000


class House:
    """Two workers of one segment, in this process; the first one listens, and so may the second."""

    def __init__(self, io: EngineIo, stack: ExitStack) -> None:
        self.segment = Segment.create(workers=2, pools_max=4, clients_max=5)
        stack.callback(self.segment.close)
        self.segment.limits(3, 4)
        self.engines = [Engine(self.segment, worker, io) for worker in range(2)]
        self.pool = self.segment.define_pool("shop", "ada", SETTINGS)
        self.door = socket.create_server(("127.0.0.1", 0))
        self.door.setblocking(False)
        for engine in self.engines:
            stack.callback(engine.close)
            stack.callback(engine.deafen)
            self.manners(engine)
        stack.callback(self.door.close)
        self._stack = stack

    def open(self, *workers: int) -> None:
        for worker in workers:
            self.engines[worker].listen(self.door.fileno())
            self.segment.accept(worker, True)

    @staticmethod
    def manners(
        engine: Engine,
        *,
        guests_max: int = 10,
        address_guests_max: int = 0,
        address_clients_max: int = 0,
        timeout_ms: int = 0,
        welcome: bool = True,
        knows: bool = True,
        offers_tls: bool = False,
        tls: TlsContext | None = None,
    ) -> None:
        engine.receive_guests(
            GuestManners(
                guests_max,
                address_guests_max,
                address_clients_max,
                timeout_ms,
                welcome=welcome,
                knows=knows,
                offers_tls=offers_tls,
                tls=tls,
            )
        )

    def visitor(self) -> socket.socket:
        sock = socket.create_connection(self.door.getsockname())
        sock.settimeout(10)
        self._stack.callback(sock.close)
        return sock

    def run(self, is_over: Callable[[list[Event]], bool]) -> list[Event]:
        """Step until this is so, a bounded number of times; return all that was asked of Python."""
        events: list[Event] = []
        for _ in range(ROUNDS):
            for engine in self.engines:
                events += engine.step()
            if is_over(events):
                return events
            for engine in self.engines:
                engine.sweep()
        raise AssertionError(f"it did not come to that; {events}")

    def next_guest(self) -> Guest:
        """Have the first worker meet somebody whose like it does not know."""
        self.run(lambda events: any(each.kind is EventKind.GUEST for each in events))
        guest = self.engines[0].take_guest()
        assert guest is not None
        self._stack.callback(os.close, guest.fd)
        return guest

    def know(self, who: bytes = LOCAL, *, tag: int = 7, is_open: bool = False) -> None:
        terms = Terms(self.pool, 0, b"RESET ALL", b"look", key_bytes=4)
        plan = LoginPlan(
            Challenge(LoginMethod.TRUST, "ada"), None if is_open else terms, tag=tag, tells=True
        )
        as_of = self.segment.note_version(self.pool, NoteKind.WELCOME)
        self.engines[0].know_plan(who, PACKET, plan, as_of)


@contextmanager
def open_house(io: EngineIo) -> Iterator[House]:
    """Give a house on that back end, or skip the test where there is none."""
    if io is EngineIo.URING and (refusal := io_uring_refusal()):
        pytest.skip(f"io_uring: {os.strerror(refusal)}")
    with ExitStack() as stack:
        yield House(io, stack)


def heard(sock: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length and (more := sock.recv(length - len(data))):
        data += more
    return data
