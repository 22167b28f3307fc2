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
from typing import Self

from tests.integration.harness import messages
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.waiting import DEADLINE_S, wait_for
from tests.integration.harness.wire import Message, Wire

_CHUNK = 65536
_LOOK_S = 0.02


class Member:
    """Own one client. `number` is its id in SHOW CLIENTS.

    `answers_s` are the times from question to answer, `errors` what ErrorResponses said; `is_gone`
    is set when the other side has closed.
    """

    def __init__(self, wire: Wire, question: bytes) -> None:
        self.sock = wire.sock
        self.number: int = struct.unpack_from("!I", wire.backend_key)[0]
        self.answers_s: list[float] = []
        self.errors: list[dict[str, str]] = []
        self.is_gone = False
        self.is_asking = False
        self._question = question
        self._asked_at = 0.0
        self._unread = b""

    def __repr__(self) -> str:
        return f"client {self.number}"

    def ask(self) -> bool:
        """Ask; False: the other side has closed."""
        self._asked_at = time.monotonic()
        self.is_asking = True
        try:
            self.sock.sendall(self._question)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def hear(self) -> bool:
        """Take what has come; False: the other side has closed."""
        try:
            data = self.sock.recv(_CHUNK)
        except ConnectionResetError:
            data = b""
        if not data:
            return False
        data, at = self._unread + data, 0
        while len(data) - at >= 5:
            kind, length = struct.unpack_from("!cI", data, at)
            if len(data) - at < length + 1:
                break
            self._read(kind, data[at + 5 : at + 1 + length])
            at += length + 1
        self._unread = data[at:]
        return True

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

    def __exit__(self, *_: object) -> None:
        self._join()
        for member in self.members:
            member.sock.close()
        self._selector.close()

    def join(self, count: int) -> list[Member]:
        """Log in that many more; those who join while the crowd runs begin to ask at once."""
        newcomers = [self._make_member() for _ in range(count)]
        self._take_in(newcomers)
        return newcomers

    def gather(self, count: int, least: int) -> None:
        """Log in until there are `count`, of whom each worker has at least `least`.

        Clients are packed on one worker first, so more have to come for that; those who are too
        many leave again, lest a crowded worker gives clients away.

        Raises: AssertionError when twice as many had to be asked in.
        """
        newcomers: list[Member] = []
        while True:
            places = self._places([*self.members, *newcomers])
            counts = self._count(places)
            if len(places) >= count and min(counts.values()) >= least:
                break
            assert len(places) < 2 * count, f"not spread: {counts}"
            newcomers += [self._make_member() for _ in range(4)]
        surplus = len(places) - count
        for each in [each for each in newcomers if each in places]:
            if surplus > 0 and counts[places[each]] > least:
                each.sock.close()
                newcomers.remove(each)
                counts[places[each]] -= 1
                surplus -= 1
        self._take_in(newcomers)

    def census(self) -> dict[int, int]:
        """Count the members that each worker serves just now."""
        return self._count(self._places(self.members))

    def of_worker(self, worker: int) -> list[Member]:
        """List those whom that worker serves just now; another may serve them in a moment."""
        places = self._places(self.members)
        return [each for each in self.members if places.get(each) == worker]

    def wait_for_losses(self) -> None:
        """Wait until all of whom no worker knows any more have seen that they are closed."""

        def done() -> bool:
            places = self._places(self.members)
            return all(each.is_gone for each in self.members if each not in places)

        wait_for(done, "who is served by nobody is disconnected")

    def start(self) -> None:
        self._is_ending.clear()
        self._thread = threading.Thread(target=self._run, name="crowd", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let everybody hear the last answer. Raises: AssertionError, naming who never did."""
        self._join()
        mute = [each for each in self.members if each.is_asking]
        assert not mute, f"{mute} got no answer within {DEADLINE_S:g} s"

    def wait_for_turns(self, count: int, deadline_s: float = DEADLINE_S) -> None:
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

    def _take_in(self, newcomers: list[Member]) -> None:
        self.members.extend(newcomers)
        self._newcomers.extend(newcomers)

    def _places(self, members: list[Member]) -> dict[Member, int]:
        """Look who serves whom: clients move from worker to worker, those who are busy by load."""
        rows = self._pooler.admin("show clients")
        workers = {row["id"]: row["worker"] for row in rows if row["user"] == self._login[0]}
        return {
            each: workers[each.number]
            for each in members
            if not each.is_gone and each.number in workers
        }

    def _count(self, places: dict[Member, int]) -> dict[int, int]:
        counts = Counter(places.values())
        return {worker: counts[worker] for worker in range(self._pooler.workers)}

    def _run(self) -> None:
        while not self._is_ending.is_set():
            self._welcome()
            self._turn(is_last=False)
        end = time.monotonic() + DEADLINE_S
        while any(each.is_asking for each in self.members) and time.monotonic() < end:
            self._turn(is_last=True)
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            self._newcomers.append(key.data)

    def _welcome(self) -> None:
        while self._newcomers:
            member = self._newcomers.popleft()
            self._selector.register(member.sock, selectors.EVENT_READ, member)
            if not member.ask():
                self._lose(member)

    def _turn(self, is_last: bool) -> None:
        for key, _ in self._selector.select(_LOOK_S):
            member: Member = key.data
            before = len(member.answers_s)
            is_there = member.hear()
            self.order += [member.number] * (len(member.answers_s) - before)
            if is_there and not member.is_asking and not is_last:
                is_there = member.ask()
            if not is_there:
                self._lose(member)

    def _lose(self, member: Member) -> None:
        """Note that one is gone; from then on its socket may be closed by who sees that."""
        self._selector.unregister(member.sock)
        member.is_asking = False
        member.is_gone = True

    def _join(self) -> None:
        if self._thread is not None:
            self._is_ending.set()
            self._thread.join()
            self._thread = None
