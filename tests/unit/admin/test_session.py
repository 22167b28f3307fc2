"""The console over a socket: how bytes arrive, how sessions end."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import gevent
import gevent.socket
import pytest

from greenpool.admin import session
from greenpool.admin.session import serve
from greenpool.protocol.errors import ClientError, Severity, SqlState
from greenpool.records import ClientState, Hold, Reason, SlotState
from tests.unit.admin import wire
from tests.unit.admin.samples import Bench, client, pool, slot
from tests.unit.admin.wire import SYNC, TERMINATE, bind, execute, parse, query


class Served:
    """A client's end of a session that runs in a thread."""

    def __init__(self, bench: Bench, early: bytes = b"") -> None:
        self.bench = bench
        self.sock, self.theirs = socket.socketpair()
        self.sock.settimeout(10)
        self._pool = ThreadPoolExecutor(1)
        self._end: Future[Reason] = self._pool.submit(
            serve, self.theirs, bench.console, bench.speaker, early
        )
        self._end.add_done_callback(lambda _: self.theirs.close())

    def send(self, *sent: bytes) -> None:
        self.sock.sendall(b"".join(sent))

    def read(self, count: int) -> list[str]:
        """Read until that many ReadyForQuery came."""
        data = b""
        while data.count(b"Z\0\0\0\5") < count:
            some = self.sock.recv(4096)
            assert some, f"closed after {data!r}"
            data += some
        return wire.words(data)

    def read_to_end(self) -> list[str]:
        data = b"".join(iter(lambda: self.sock.recv(4096), b""))
        return wire.words(data)

    def reason(self) -> Reason:
        return self._end.result(timeout=10)

    def close(self) -> None:
        self.sock.close()
        self._pool.shutdown()


@pytest.fixture
def served(bench: Bench) -> Iterator[Served]:
    it = Served(bench)
    yield it
    it.close()


def test_a_session_from_hello_to_terminate(served: Served) -> None:
    served.send(query("SHOW VERSION"))
    assert served.read(1) == ["T", "D", "C(SHOW)", "Z(I)"]
    served.send(parse("SHOW VERSION"), bind(), execute(), SYNC, TERMINATE)
    assert served.read_to_end() == ["1", "2", "D", "C(SHOW)", "Z(I)"]  # owed before the goodbye
    assert served.reason() is Reason.CLIENT_TERMINATE


def test_bytes_may_arrive_one_by_one(served: Served) -> None:
    sent = query("SHOW VERSION") + parse("SHOW VERSION") + bind() + execute() + SYNC
    for byte in sent:
        served.send(bytes([byte]))
    assert served.read(2) == ["T", "D", "C(SHOW)", "Z(I)", "1", "2", "D", "C(SHOW)", "Z(I)"]


@pytest.mark.parametrize("split", [0, 3, 9])
def test_early_bytes_come_first(bench: Bench, split: int) -> None:
    sent = query("SELECT 1")
    served = Served(bench, sent[:split])
    served.send(sent[split:])
    assert served.read(1) == ["T", "D", "C(SELECT 1)", "Z(I)"]
    served.close()


def test_hanging_up_ends_the_session(served: Served) -> None:
    served.send(query("SELECT 1")[:5])
    served.sock.shutdown(socket.SHUT_WR)
    assert served.read_to_end() == []
    assert served.reason() is Reason.CLIENT_EOF


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\x00", b"Q\0\0\0\3", b"Q\x7f\xff\xff\xff", b"p\0\0\0\5\0"],
    ids=["unknown type", "length too small", "length too large", "password"],
)
def test_bytes_that_break_the_protocol_end_the_session(served: Served, sent: bytes) -> None:
    served.send(query("SELECT 1"), sent)
    assert served.read_to_end() == ["T", "D", "C(SELECT 1)", "Z(I)", "E(08P01!)"]
    assert served.reason() is Reason.CLIENT_PROTOCOL


def test_a_client_that_does_not_read_is_given_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "SEND_TIMEOUT_S", 0.05)
    served = Served(bench)
    served.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    served.send(*([query("SHOW CONFIG")] * 100))
    assert served.reason() is Reason.CLIENT_IO
    served.close()


def test_a_command_that_takes_its_time_is_waited_for(bench: Bench) -> None:
    bench.segment.pools = [pool(0)]
    bench.segment.slots = {0: [slot(0, SlotState.ACTIVE)]}
    served = Served(bench)
    served.send(query("PAUSE; SELECT 1"))
    assert not select.select([served.sock], [], [], 0.2)[0]
    bench.segment.slots = {}
    assert served.read(1) == ["C(PAUSE)", "T", "D", "C(SELECT 1)", "Z(I)"]
    served.close()


def test_who_leaves_while_waiting_is_not_waited_for(bench: Bench) -> None:
    bench.segment.pools = [pool(0)]
    bench.segment.slots = {0: [slot(0, SlotState.ACTIVE)]}
    served = Served(bench)
    served.send(query("PAUSE"))
    served.sock.close()
    assert served.reason() is Reason.CLIENT_EOF
    assert bench.segment.held(0) is Hold.PAUSED


def test_a_cancel_ends_the_wait_and_not_the_session(bench: Bench) -> None:
    bench.segment.pools = [pool(0)]
    bench.segment.slots = {0: [slot(0, SlotState.ACTIVE)]}
    ours, theirs = socket.socketpair()
    counts = iter(range(3))  # as the message comes, as it waits, as the next one comes
    ours.sendall(query("PAUSE") + query("SELECT 1") + TERMINATE)
    reason = serve(theirs, bench.console, bench.speaker, cancels=lambda: next(counts, 9))
    assert reason is Reason.CLIENT_TERMINATE
    assert wire.words(ours.recv(4096)) == ["E(57014)", "Z(I)", "T", "D", "C(SELECT 1)", "Z(I)"]
    assert bench.segment.held(0) is Hold.PAUSED
    ours.close()
    theirs.close()


def test_long_answers_let_others_run(bench: Bench) -> None:
    bench.segment.clients = [client(number, ClientState.IDLE) for number in range(1, 501)]
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    pauses: list[float] = []
    ours.sendall(query("SHOW CLIENTS") + TERMINATE)
    assert (
        serve(theirs, bench.console, bench.speaker, sleep=pauses.append) is Reason.CLIENT_TERMINATE
    )
    assert len(pauses) > 5
    assert set(pauses) == {0}
    ours.close()
    theirs.close()


def test_a_session_that_is_ended_from_outside_says_so(bench: Bench) -> None:
    """The administrator's error is raised while an answer is under way, between its pieces."""
    bench.segment.clients = [client(number, ClientState.IDLE) for number in range(1, 501)]
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

    def end(seconds: float) -> None:
        raise ClientError(Severity.FATAL, SqlState.ADMIN_SHUTDOWN, "terminating connection")

    ours.sendall(query("SHOW CLIENTS"))
    assert serve(theirs, bench.console, bench.speaker, sleep=end) is Reason.SHUTDOWN
    theirs.close()
    found = wire.words(b"".join(iter(lambda: ours.recv(65536), b"")))
    assert found[0] == "T"
    assert set(found[1:-1]) == {"D"}
    assert found[-1] == "E(57P01!)"
    ours.close()


def test_a_session_that_waits_for_a_question_is_ended_politely(bench: Bench) -> None:
    ours, theirs = gevent.socket.socketpair()
    greenlet = gevent.spawn(
        serve, theirs, bench.console, bench.speaker, query("SELECT 1"), gevent.sleep
    )
    with gevent.Timeout(10):
        assert wire.words(ours.recv(4096))[-1] == "Z(I)"
        end = ClientError(Severity.FATAL, SqlState.ADMIN_SHUTDOWN, "terminating connection")
        greenlet.kill(end, block=False)
        assert wire.words(ours.recv(4096)) == ["E(57P01!)"]
        assert greenlet.get() is Reason.SHUTDOWN
    ours.close()
    theirs.close()
