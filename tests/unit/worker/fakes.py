"""Stand-ins for the engine and the segment, and a worker made of them; bytes are real."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import gevent
from gevent import socket

from greenpool.admin.console import Console, Orders, Sources
from greenpool.config import Config, load, members
from greenpool.observe.times import Ladder
from greenpool.protocol.errors import ErrorFields
from greenpool.protocol.frame import FrameReader
from greenpool.protocol.message import BackendType, Message
from greenpool.records import (
    NOTE_BYTES,
    CancelTarget,
    ClientState,
    Event,
    EventKind,
    Guest,
    NoteKind,
    Result,
)
from greenpool.rows import ClientRow
from greenpool.tallies import Tallies
from greenpool.worker.state import Worker
from tests.unit.admin.samples import FakePoll
from tests.unit.worker.fake_login import FakeLogin, FakePlan, is_own

MD5_OF_ADA = "md5" + "0" * 32

CONFIG = """
general:
  workers: 2
  client_login_timeout: 2s
  admin_password: {admin_password}
  max_connections: 10
pools:
  shop:
    server_port: {port}
    connect_timeout: 1s
    cancel_wait_timeout: 1s
    users:
      - {{username: ada, pool_size: 3}}
      - {{username: bob, password: builder, min_pool_size: 1}}
      - {{username: cyd, password: "{md5}"}}
      - {{username: dan, password: "{scram}", min_pool_size: 1}}
  till:
    server_port: {port}
    application_name: till-servers
    startup_parameters: {{work_mem: 5MB}}
    users: [{{username: ada}}]
"""
SCRAM = "SCRAM-SHA-256$4096:" + "A" * 22 + "==$" + "B" * 43 + "=:" + "C" * 43 + "="


def make_config(
    directory: Path, *, port: int = 1, admin_password: str = "pa55", without: str = ""
) -> Config:
    """Load CONFIG; `without` is a line to leave out."""
    text = CONFIG.format(port=port, admin_password=admin_password, md5=MD5_OF_ADA, scram=SCRAM)
    lines = [line for line in text.splitlines() if not without or without not in line]
    path = directory / "greenpool.yaml"
    path.write_text("\n".join(lines))
    return load(path, {})


def indices_of(config: Config) -> dict[tuple[str, str], int]:
    return {member.key: index for index, member in enumerate(members(config))}


class FakeEngine:
    """Keeps what it is told, runs logins; answers to a probe are given by `on_serve`."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.worker: Any = None
        self.plans: dict[int, FakePlan] = {}
        self.logins: dict[int, FakeLogin] = {}
        self.served: dict[int, tuple[Any, ...]] = {}
        self.on_login: Any = None
        self.rows_free = 10
        self.reserve_free = 10
        self.entered = 0
        self.fds: dict[int, int] = {}
        self.own: set[int] = set()
        self.on_serve: Any = None
        self.cancel_answer: CancelTarget | Result = Result.ENOENT
        self.events: list[list[Event]] = []
        self.is_list_known = True
        self.guests: list[Guest] = []
        self.known: dict[tuple[bytes, bytes], tuple[FakePlan, int]] = {}
        self.lists_due = 0

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> None:
            self.calls.append((name, *args))

        return call

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]

    def enter(self, reserve: bool, address: str) -> int:
        self.calls.append(("enter", reserve, address))
        if self.rows_free:
            self.rows_free -= 1
        elif reserve and self.reserve_free:
            self.reserve_free -= 1
        else:
            return 0
        self.entered += 1
        return self.entered

    def client_key(self, client: int, length: int) -> bytes:
        return bytes([client]) * length

    def login(
        self,
        client: int,
        plan: FakePlan,
        fd: int,
        tls: Any = None,
        spent_ms: int = 0,
        early: bytes = b"",
    ) -> None:
        if self.on_login is not None:
            self.on_login()
        self.plans[client] = plan
        self.fds[client] = fd
        if not is_own(plan):
            self.logins[client] = FakeLogin(self.worker, client, plan, fd, early)
            return
        self.own.add(client)
        self.served[client] = (plan.terms, fd, early)
        if self.on_serve is not None:
            self.on_serve(client, fd)

    def forget(self, client: int) -> int:
        self.calls.append(("forget", client))
        self.own.discard(client)
        return self.fds.pop(client, -1)

    def clients(self) -> Iterator[int]:
        return iter(tuple(self.fds))

    def client_count(self) -> int:
        return len(self.fds)

    def is_own(self, client: int) -> bool:
        return client in self.own

    def welcome(self, client: int, plan: FakePlan) -> bool:
        return self._conclude(client, plan)

    def dismiss(self, client: int, words: bytes) -> bool:
        return self._conclude(client, words)

    def _conclude(self, client: int, verdict: FakePlan | bytes) -> bool:
        login = self.logins.get(client)
        if login is not None:
            login.conclude(verdict)
        return login is not None

    def proof(self, client: int) -> bytes | None:
        return self.logins[client].client_key

    def cancel_start(self, client: int, key: bytes) -> CancelTarget | Result:
        self.calls.append(("cancel_start", client, key))
        return self.cancel_answer

    def guest_count(self) -> int:
        return len(self.guests)

    def take_guest(self, *, any_of_them: bool = False) -> Guest | None:
        return self.guests.pop(0) if self.guests else None

    def know_plan(self, who: bytes, packet: bytes, plan: FakePlan, as_of: int) -> None:
        self.known[who, packet] = plan, as_of

    def plan_tag(self, who: bytes, packet: bytes) -> int:
        plan, as_of = self.known.get((who, packet), (None, 0))
        if plan is None:
            return 0
        space, terms = self.worker.segment, plan.terms
        if terms is not None and space.note_version(terms.pool, NoteKind.WELCOME) != as_of:
            return 0
        return plan.tag

    def forget_plans(self, pool: int | None = None) -> None:
        for key, (plan, _) in tuple(self.known.items()):
            if pool is None or (plan.terms is not None and plan.terms.pool == pool):
                del self.known[key]

    def suspects_known(self, pool: int) -> tuple[bool, int]:
        return self.is_list_known, 7

    def suspects_due(self, pool: int, period_s: float) -> bool:
        self.calls.append(("suspects_due", pool, period_s))
        self.lists_due -= 1
        return self.lists_due >= 0

    def step(self) -> list[Event]:
        return self.events.pop(0) if self.events else []


class FakeSegment:
    def __init__(self) -> None:
        self.pools: dict[int, Any] = {}
        self.slots: dict[tuple[int, int], Any] = {}
        self.clients: dict[int, ClientRow] = {}
        self.notes: dict[tuple[int, NoteKind], tuple[int, bytes]] = {}
        self.tries: list[tuple[bytes, int]] = []
        self.origins: list[tuple[int, bytes, int]] = []

    def pool_rows(self) -> list[Any]:
        return list(self.pools.values())

    def pool_row(self, index: int) -> Any:
        return self.pools.get(index)

    def slot_row(self, pool: int, slot: int) -> Any:
        return self.slots.get((pool, slot))

    def client_row(self, client: int) -> ClientRow | None:
        return self.clients.get(client)

    def login_allowed(self, address: bytes, rate: int) -> bool:
        self.tries.append((address, rate))
        return not rate or len(self.tries) <= rate

    def client_from(self, client: int, address: bytes, limit: int) -> bool:
        self.origins.append((client, address, limit))
        return not limit or len(self.origins) <= limit

    def note_version(self, pool: int, kind: NoteKind) -> int:
        return self.read_note(pool, kind)[0]

    def read_note(self, pool: int, kind: NoteKind) -> tuple[int, bytes]:
        return self.notes.get((pool, kind), (0, b""))

    def write_note(self, pool: int, kind: NoteKind, worker: int, data: bytes) -> Result:
        if len(data) > NOTE_BYTES[kind]:
            return Result.EFULL
        self.notes[pool, kind] = (self.note_version(pool, kind) + 1, data)
        return Result.OK

    def wipe_notes(self, pool: int) -> None:
        for kind in NoteKind:
            self.notes[pool, kind] = (self.note_version(pool, kind) + 1, b"")


class FakedWorker(Worker):
    """A worker whose engine and segment are the ones above."""

    told: list[Any]

    if TYPE_CHECKING:
        engine: Any
        segment: Any


def make_worker(config: Config, segment: FakeSegment | None = None) -> FakedWorker:
    """Make one; give two of them the same segment, and they hear each other."""
    segment = segment or FakeSegment()
    engine: Any = FakeEngine()
    told: list[Any] = []
    tallies = Tallies.create(16, 2)
    worker = FakedWorker(
        index=0,
        engine=engine,
        segment=cast(Any, segment),
        config=config,
        console=Console(
            Sources(cast(Any, segment), tallies, Ladder([0, 1])),
            lambda: config,
            Orders(lambda _: None, lambda *_: None, lambda _: FakePoll([])),
        ),
        threads=gevent.get_hub().threadpool,
        tallies=tallies,
        tell=told.append,
        boot_secret=b"s" * 32,
    )
    engine.worker = worker
    worker.told = told
    worker.pools.apply(config, indices_of(config))
    worker.lookups.apply(config)
    return worker


def client_row(client: int, **fields: Any) -> ClientRow:
    values: dict[str, Any] = {
        "client": client,
        "state": ClientState.GONE,
        "worker": 0,
        "pool": 1,
        "slot": 0,
        "cancels": 0,
        "wait_since_ns": 0,
        "request_ns": 0,
        "connected_ns": 0,
        "xacts": 2,
        "queries": 3,
        "pins": 0,
        "pumped": 0,
        "bytes_received": 100,
        "bytes_sent": 200,
        "prepared": 0,
        "prepared_bytes": 0,
        "buffer_bytes": 0,
        "user": "ada",
        "database": "shop",
        "address": "10.0.0.1:5",
        "application": "till",
        "tls": "",
    }
    return ClientRow(**{**values, **fields})


def event(
    kind: EventKind, *, client: int = 0, pool: int = 0, slot: int = 0, detail: int = 0
) -> Event:
    return Event(kind, client, pool, slot, detail)


@contextmanager
def served_fds(worker: Worker) -> Iterator[None]:
    """Close at the end what the worker's clients have left open."""
    try:
        yield
    finally:
        for client in worker.engine.clients():
            with suppress(OSError):
                os.close(worker.engine.forget(client))


def read_all(sock: socket.socket) -> list[Message]:
    """Read backend messages to the end of the stream."""
    reader = FrameReader(BackendType)
    messages: list[Message] = []
    while data := sock.recv(65536):
        messages += reader.feed(data)
    assert reader.pending == 0
    return messages


def error_of(messages: list[Message]) -> tuple[str, str, str]:
    """Return severity, SQLSTATE and text of the error that must stand last."""
    assert messages, "nothing was said"
    assert messages[-1].type is BackendType.ERROR_RESPONSE
    fields = ErrorFields.parse(messages[-1].body)
    return fields.severity, fields.sqlstate, fields.message


def answering(*replies: bytes) -> Callable[[int, int], None]:
    """Make the `on_serve` of a pool that answers one question after the other."""
    left = list(replies)

    def on_serve(client: int, fd: int) -> None:
        gevent.spawn(_answer, os.dup(fd), left.pop(0))

    return on_serve


def _answer(fd: int, reply: bytes) -> None:
    with socket.socket(fileno=fd) as sock:
        assert sock.recv(65536)
        sock.sendall(reply)
