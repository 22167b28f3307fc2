"""A segment that says what a test wants, on a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from greenpool.admin.console import Console, Orders, Sources
from greenpool.admin.question import Told, Topic
from greenpool.admin.result import AdminResult, Plan
from greenpool.admin.speaker import Rights, Speaker
from greenpool.admin.view import Moment
from greenpool.config import Config, load
from greenpool.observe.times import Ladder
from greenpool.records import (
    TIME_BUCKETS,
    ClientState,
    EngineIo,
    ErrorClass,
    Haste,
    Hold,
    MemoryKind,
    Pin,
    Reason,
    Refusal,
    SlotState,
    TimeKind,
    Visit,
)
from greenpool.rows import ChronicleRow, ClientRow, DatabaseRow, PoolRow, SlotRow, Times, WorkerRow
from greenpool.tallies import Tallies
from tests.unit.samples import POOL_SETTINGS

S = 1_000_000_000
NOW = Moment(monotonic_ns=1000 * S, epoch_ns=1_700_000_000 * S)  # 2023-11-14 22:13:20 UTC

LADDER = Ladder([*range(1_000_000, TIME_BUCKETS * 1_000_000, 1_000_000), (1 << 64) - 1])
"""Buckets of a millisecond each."""

CONFIG = """
general: {port: 6500, admin_password: hush-hush, max_connections: 100}
pools:
  app:
    server_host: 10.0.0.1
    server_port: 5433
    server_database: app_on_server
    users:
      - {username: alice, password: hush-hush, pool_size: 10, min_pool_size: 2}
      - {username: bob, pool_size: 5, pool_mode: session, server_username: robert}
  logs:
    users: [{username: alice, pool_size: 10, server_username: logger}]
"""


@dataclass
class FakeSegment:
    """Rows as a test gave them; `slots` by pool index."""

    pools: list[PoolRow] = field(default_factory=list)
    slots: dict[int, list[SlotRow]] = field(default_factory=dict)
    clients: list[ClientRow] = field(default_factory=list)
    workers: list[WorkerRow] = field(default_factory=list)
    databases: list[DatabaseRow] = field(default_factory=list)
    said: list[tuple[str, int]] = field(default_factory=list)
    suspended: bool = False
    happened: list[ChronicleRow] = field(default_factory=list)
    counts: dict[tuple[TimeKind, int | None], dict[int, int]] = field(default_factory=dict)
    """How many times there were in a bucket, by kind and pool."""

    @property
    def chronicle(self) -> FakeSegment:
        return self

    def rows(self) -> Iterator[ChronicleRow]:
        return iter(self.happened)

    def pool_rows(self) -> Sequence[PoolRow]:
        return self.pools

    def database_rows(self) -> Sequence[DatabaseRow]:
        return self.databases

    def slot_rows(self, pool: int) -> Sequence[SlotRow]:
        return self.slots.get(pool, [])

    def client_row(self, client: int) -> ClientRow | None:
        return next((row for row in self.clients if row.client == client), None)

    def times(self, kind: TimeKind, pool: int | None = None, worker: int | None = None) -> Times:
        counts = self.counts.get((kind, pool), {})
        return Times(0, [counts.get(bucket, 0) for bucket in range(TIME_BUCKETS)])

    def hold(self, pool: int, bits: Hold) -> None:
        self._set(pool, self.held(pool) | bits)

    def unhold(self, pool: int, bits: Hold) -> None:
        self._set(pool, self.held(pool) & ~bits)

    def held(self, pool: int) -> Hold:
        return Hold(next(row.held for row in self.pools if row.index == pool))

    def reconnect(self, pool: int) -> None:
        self.said.append(("reconnect", pool))

    def kill_pool(self, pool: int) -> None:
        self.said.append(("kill", pool))
        self.hold(pool, Hold.PAUSED)

    def doom(self, client: ClientRow) -> None:
        self.said.append(("doom", client.client))

    def suspend(self, wanted: bool) -> None:
        self.suspended = wanted

    def is_suspended(self) -> bool:
        return self.suspended

    def _set(self, pool: int, held: Hold) -> None:
        self.pools = [
            replace(row, held=int(held)) if row.index == pool else row for row in self.pools
        ]

    def client_rows(self) -> Sequence[ClientRow]:
        return self.clients

    def worker_rows(self) -> Sequence[WorkerRow]:
        return self.workers


def pool(index: int = 0, database: str = "app", user: str = "alice", **fields: Any) -> PoolRow:
    """Make a pool row; what is not given is 0."""
    head = ("index", "database", "user", "settings")
    values: dict[str, Any] = {name: 0 for name in PoolRow.__slots__ if name not in head}
    values |= {"in_use": 1, "pins_of": (0,) * len(Pin), "cl_pinned": (0,) * len(Pin)}
    values |= dict.fromkeys(("client_ends", "server_ends"), (0,) * len(Reason))
    values |= {"hastes": (0,) * len(Haste), "errors_of": (0,) * len(ErrorClass)}
    values |= {"settings": POOL_SETTINGS}
    return PoolRow(index=index, database=database, user=user, **values | fields)


def slot(index: int, state: SlotState, **fields: Any) -> SlotRow:
    """Make a server connection's row."""
    texts = {"key": b"secret-cancel-key", "address": "10.0.0.1:5433", "tls": ""}
    numbers = (name for name in SlotRow.__slots__ if name not in ("index", "state", *texts))
    values: dict[str, Any] = {**dict.fromkeys(numbers, 0), **texts}
    return SlotRow(index=index, state=state, **values | fields)


def client(number: int, state: ClientState, **fields: Any) -> ClientRow:
    """Make a client's row."""
    texts = {"user": "alice", "database": "app", "address": "127.0.0.1:40000", "application": ""}
    texts["tls"] = ""
    numbers = (name for name in ClientRow.__slots__ if name not in ("client", "state", *texts))
    values: dict[str, Any] = {**dict.fromkeys(numbers, 0), **texts}
    return ClientRow(client=number, state=state, **values | fields)


def worker(index: int, **fields: Any) -> WorkerRow:
    """Make a living worker's row."""
    values: dict[str, Any] = {"pid": 4000 + index, "alive": 1, "births": 1, "clients": 0}
    values |= {"busy_permille": 0, "io_backend": EngineIo.URING, "beat_ns": NOW.monotonic_ns}
    values |= {"moved_in": 0, "moved_out": 0, "refusals": (0,) * len(Refusal)}
    values |= {"visits": (0,) * len(Visit), "statements": 0, "idle_statements": 0}
    values |= {"memory_bytes": (0,) * len(MemoryKind), "memory_refusals": 0, "still": 0}
    return WorkerRow(index=index, **values | fields)


def busy_segment() -> FakeSegment:
    """Make a segment with something of everything."""
    return FakeSegment(
        pools=[
            pool(0, cl_active=1, cl_waiting=1, cl_idle=2, sv_active=1, sv_idle=1, sv_login=1,
                 sv_canceled=1, sv_closing=1, maxwait_ns=2 * S + 345_678),
            pool(1, "app", "bob"),
            pool(2, "logs"),
        ],
        slots={
            0: [
                slot(0, SlotState.ACTIVE, worker=1, client=3, backend_pid=901, xacts=7,
                     opened_ns=940 * S, expires_ns=2000 * S),
                slot(1, SlotState.IDLE, backend_pid=0x80000001, opened_ns=900 * S,
                     idle_since_ns=990 * S, expires_ns=999 * S),
                slot(2, SlotState.CONNECTING, address=""),
                slot(3, SlotState.PARKED, address="[::1]:5432"),
                slot(4, SlotState.CLOSING, address="/run/postgresql"),
            ]
        },
        clients=[
            client(3, ClientState.ACTIVE, pool=1, slot=1, worker=1, application="shop", pumped=1,
                   connected_ns=880 * S, request_ns=999 * S, xacts=5, queries=6, pins=12),
            client(4, ClientState.WAITING, pool=1, wait_since_ns=997 * S - 250_000_000,
                   connected_ns=880 * S, address="[2001:db8::1]:50000"),
            client(5, ClientState.LOGIN, user="", database="", address="unix"),
            client(6, ClientState.LOGIN, user="admin", database="pgbouncer"),
        ],
        happened=[
            ChronicleRow(1, 990 * S, 0, None, 70, "ready\0version=1.0"),
            ChronicleRow(3, 999 * S, 9, None, 71,
                         "taken over\0to_version=1.1\0from_version=1.0\0generation=2"),
            ChronicleRow(4, 1000 * S, 31, 2, 72, "of a later version"),
        ],
        workers=[
            worker(0, clients=2, busy_permille=420),
            worker(1, clients=2, births=3),
        ],
    )  # fmt: skip


def load_config(directory: Path, setting: str = "") -> Config:
    """Load CONFIG, with one more setting of general."""
    path = directory / "greenpool.yaml"
    path.write_text(
        CONFIG.replace("general: {", f"general: {{{setting}, " if setting else "general: {")
    )
    path.chmod(0o600)
    return load(path, {})


TOLD: dict[Topic, list[Told]] = {
    Topic.STATEMENTS: [
        ("app", "alice", "18446744073709551616", "gA", "select $1", 3, 2),
        ("logs", "alice", "7", "gB", "select 2", 1, 1),
        ("app", "alice", "7", "gB", "select 2", 9, 1),
        ("app", "alice", "18446744073709551616", "gA", "select $1", 4, 2),  # by another worker
    ],
    Topic.TEXTS: [
        (0, "18446744073709551616", 40, 2, 3, "select $1"),
        (0, "7", 90, 0, 9, "select 2 ..."),
        (1, "18446744073709551616", 40, 1, 4, "select $1"),
    ],
    Topic.PARAMETERS: [
        ("logs", "found", "work_mem", "3MB"),
        ("logs", "found", "work_mem", "3MB"),  # by another worker
    ],
    Topic.DESCRIPTORS: [
        (0, 5, "pooler", None, None, "127.0.0.1", 6432, None),
        (0, 17, "client", "alice", "app", "10.0.0.9", 40000, 18),
        (1, 18, "server", "alice", "app", "/run/postgresql", 0, 17),
    ],
}


@dataclass
class FakePoll:
    """An answer that is there at the second look."""

    told: list[Told]
    looks: int = 0

    def is_done(self) -> bool:
        self.looks += 1
        return self.looks > 1


def speaker(rights: Rights = Rights.ADMIN) -> Speaker:
    """Make somebody who has just logged in."""
    return Speaker(
        "admin", "greenpool", 77, rights, {"application_name": "psql", "client_encoding": "LATIN1"}
    )


class Bench:
    """A console, its segment, who speaks with it, and the commands it was told to pass on."""

    def __init__(self, config: Config, segment: FakeSegment | None = None) -> None:
        self.segment = busy_segment() if segment is None else segment
        self.now = NOW
        self.speaker = speaker()
        self.commands: list[str] = []
        self.settings: list[tuple[str, str]] = []
        self.told: dict[Topic, list[Told]] = dict(TOLD)
        self.config = config
        self.tallies = Tallies.create(16, 2)
        self.console = Console(
            Sources(self.segment, self.tallies, LADDER),
            lambda: self.config,
            Orders(
                self.commands.append,
                lambda *setting: self.settings.append(setting),
                lambda topic: FakePoll(self.told[topic]),
            ),
            clock=lambda: self.now,
        )

    def plan(self, sql: str) -> Plan:
        """Understand a statement."""
        return self.console.plan(sql, self.speaker)

    def execute(self, sql: str) -> AdminResult:
        """Run a statement."""
        return self.console.execute(sql, self.speaker)

    def show(self, sql: str) -> list[dict[str, Any]]:
        """Run a statement; give its rows by column name."""
        result = self.execute(sql)
        names = [column.name for column in result.columns]
        return [dict(zip(names, row, strict=True)) for row in result.rows]
