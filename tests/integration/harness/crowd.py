"""Many clients in one thread, each asking again as soon as it is answered.

with Crowd(pooler, "select 1") as crowd:
    crowd.gather(64, least=16)      # at least 16 on each worker
    crowd.start()
    ...                             # whatever shall happen meanwhile
    crowd.stop()                    # every question has been answered, or this fails
    assert not crowd.complaints()
"""

from __future__ import annotations

import selectors
import struct
import threading
import time
from collections import Counter, deque
from types import TracebackType
from typing import Self

from tests.integration.harness import messages
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Message, Wire

ANSWER_DEADLINE_S = 10.0
_CHUNK = 65536
_LOOK_S = 0.02


class Member:
    """Own one client. `number` is its id in SHOW CLIENTS, `worker` who serves it.

    `answers_s` are the times from question to answer, `errors` what ErrorResponses said; `is_gone`
    is set when the other side has closed.
    """

    def __init__(self, wire: Wire, question: bytes) -> None:
        self.sock = wire.sock
        self.number: int = struct.unpack_from("!I", wire.backend_key)[0]
        self.worker = -1
        self.answers_s: list[float] = []
        self.errors: list[dict[str, str]] = []
        self.is_gone = False
        self.is_asking = False
        self._question = question
        self._asked_at = 0.0
        self._unread = b""

    def __repr__(self) -> str:
        return f"client {self.number} of worker {self.worker}"

    def ask(self) -> None:
        self._asked_at = time.monotonic()
        self.is_asking = True
        try:
            self.sock.sendall(self._question)
        except (BrokenPipeError, ConnectionResetError):
            self.is_gone, self.is_asking = True, False

    def hear(self) -> None:
        """Take what has come."""
        try:
            data = self.sock.recv(_CHUNK)
        except ConnectionResetError:
            data = b""
        if not data:
            self.is_gone, self.is_asking = True, False
            return
        data, at = self._unread + data, 0
        while len(data) - at >= 5:
            kind, length = struct.unpack_from("!cI", data, at)
            if len(data) - at < length + 1:
                break
            self._read(kind, data[at + 5 : at + 1 + length])
            at += length + 1
        self._unread = data[at:]

    def _read(self, kind: bytes, body: bytes) -> None:
        if kind == b"E":
            self.errors.append(Message(kind, body).fields)
        elif kind == b"Z":
            self.answers_s.append(time.monotonic() - self._asked_at)
            self.is_asking = False


class Crowd:
    """Own the clients and the thread in which they ask `sql`, by simple queries.

    `order` holds the number of whoever was answered, answer by answer.
    """

    def __init__(self, pooler: Pooler, sql: str, user: str = "app", database: str = "app") -> None:
        self.members: list[Member] = []
        self.order: list[int] = []
        self._pooler = pooler
        self._question = messages.query(sql)
        self._login = (user, database)
        self._newcomers: deque[Member] = deque()
        self._selector = selectors.DefaultSelector()
        self._thread: threading.Thread | None = None
        self._is_ending = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._join()
        for member in self.members:
            member.sock.close()
        self._selector.close()

    def join(self, count: int) -> list[Member]:
        """Log in that many more; those who join while the crowd runs begin to ask at once."""
        newcomers = [self._make_member() for _ in range(count)]
        self._locate(newcomers)
        self.members.extend(newcomers)
        self._newcomers.extend(newcomers)
        return newcomers

    def gather(self, count: int, least: int) -> None:
        """Log in until there are `count`, of whom each worker has at least `least`.

        Raises: AssertionError when twice as many had to be asked in for that.
        """
        while len(self.members) < count or min(self.census().values()) < least:
            assert len(self.members) < 2 * count, f"not spread: {self.census()}"
            self.join(4)

    def census(self) -> dict[int, int]:
        """Count the living members of each worker."""
        counts = Counter(each.worker for each in self.members if not each.is_gone)
        return {worker: counts[worker] for worker in range(self._pooler.workers)}

    def of_worker(self, worker: int) -> list[Member]:
        return [each for each in self.members if each.worker == worker]

    def start(self) -> None:
        self._is_ending.clear()
        self._thread = threading.Thread(target=self._run, name="crowd", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let everybody hear the last answer. Raises: AssertionError, naming who never did."""
        self._join()
        mute = [each for each in self.members if each.is_asking]
        assert not mute, f"{mute} got no answer within {ANSWER_DEADLINE_S:g} s"

    def wait_for_turns(self, count: int, deadline_s: float = 30.0) -> None:
        """Wait until every living member was answered that many times from now on."""
        before = [(each, len(each.answers_s)) for each in self.members if not each.is_gone]

        def done() -> bool:
            return all(
                len(each.answers_s) >= turns + count or each.is_gone for each, turns in before
            )

        wait_for(done, f"{count} answers for each of {len(before)} clients", deadline_s)

    def dismiss_gone(self) -> list[Member]:
        """Forget, and return, those whose connection was closed."""
        gone = [each for each in self.members if each.is_gone]
        self.members = [each for each in self.members if not each.is_gone]
        for each in gone:
            each.sock.close()
        return gone

    def complaints(self) -> list[str]:
        """List all that no client should have seen."""
        return [
            f"{each}: {'closed ' if each.is_gone else ''}{each.errors}"
            for each in self.members
            if each.is_gone or each.errors
        ]

    # -- private ------------------------------------------------------------------------------

    def _make_member(self) -> Member:
        wire = Wire.connect(self._pooler.host, self._pooler.port)
        try:
            wire.login(*self._login)
        except BaseException:
            wire.sock.close()
            raise
        return Member(wire, self._question)

    def _locate(self, members: list[Member]) -> None:
        workers = {row["id"]: row["worker"] for row in self._pooler.admin("show clients")}
        for each in members:
            each.worker = workers[each.number]

    def _run(self) -> None:
        while not self._is_ending.is_set():
            self._welcome()
            self._turn(is_last=False)
        end = time.monotonic() + ANSWER_DEADLINE_S
        while any(each.is_asking for each in self.members) and time.monotonic() < end:
            self._turn(is_last=True)
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            self._newcomers.append(key.data)

    def _welcome(self) -> None:
        while self._newcomers:
            member = self._newcomers.popleft()
            self._selector.register(member.sock, selectors.EVENT_READ, member)
            member.ask()

    def _turn(self, is_last: bool) -> None:
        for key, _ in self._selector.select(_LOOK_S):
            member: Member = key.data
            before = len(member.answers_s)
            member.hear()
            self.order += [member.number] * (len(member.answers_s) - before)
            if member.is_gone:
                self._selector.unregister(member.sock)
            elif not member.is_asking and not is_last:
                member.ask()

    def _join(self) -> None:
        if self._thread is not None:
            self._is_ending.set()
            self._thread.join()
            self._thread = None
