"""The compiled engine as Python sees it; `tls.py` and `login.py` have what it knows of those.

Thin on purpose: a method here checks lengths, keeps buffers alive over the call, and turns C
structs into the values of `records.py` and failures into `EngineError`. Contracts stand at the
prototypes in `_cparser/engine.h`. No call blocks; none switches greenlets.
`Segment` is what all processes share (made by the master before it forks); `Engine` is one
worker's own, made after the fork. (All that may call C in one place: therefore it is
longer than 600 lines.)
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from typing import Any, Self

from greenpool.binding import ffi, lib
from greenpool.chronicle import Chronicle
from greenpool.errors import EngineError
from greenpool.inventory import Inventory
from greenpool.login import Fault, LoginPlan, read_fault
from greenpool.records import (
    NAME_BYTES,
    NOTE_BYTES,
    TIME_BUCKETS,
    Ailment,
    Audit,
    CancelTarget,
    ClientRow,
    ClientState,
    DatabaseRow,
    DatabaseSettings,
    EncryptionFlags,
    EngineIo,
    Event,
    EventKind,
    Guest,
    GuestManners,
    Hold,
    NoteKind,
    PoolMode,
    PoolRow,
    PoolSettings,
    Reason,
    Refusal,
    Result,
    SessionHandling,
    SlotRow,
    SlotState,
    StepCounts,
    SuspectFlags,
    TimeKind,
    Times,
    Visit,
    WorkerRow,
)
from greenpool.tls import TlsSession

__all__ = [
    "Audit",
    "CancelTarget",
    "ClientRow",
    "ClientState",
    "Engine",
    "EngineIo",
    "Event",
    "EventKind",
    "NoteKind",
    "PoolMode",
    "PoolRow",
    "PoolSettings",
    "Reason",
    "Result",
    "Segment",
    "SlotRow",
    "SlotState",
    "StepCounts",
    "TimeKind",
    "WorkerRow",
    "io_uring_refusal",
    "now_ns",
    "reason_text",
    "time_bounds_ns",
]

EVENTS_PER_STEP = 256
"""Capacity of one step's answer; a full one means: step again before sleeping."""

_NS_PER_S = 1_000_000_000
_WORD = (1 << 64) - 1
_EVENT_KINDS = {int(kind): kind for kind in EventKind}
_SETTINGS = tuple(PoolSettings.__slots__)
_POOL_LISTS = ("cl_pinned", "pins_of", "client_ends", "server_ends", "hastes", "errors_of")
_POOL_HEAD = ("index", "database", "user", "settings")
_POOL_PLAIN = tuple(f for f in PoolRow.__slots__ if f not in (*_POOL_HEAD, *_POOL_LISTS))
_DATABASE_PLAIN = tuple(f for f in DatabaseRow.__slots__ if f not in ("index", "name"))
_SLOT_TEXT = ("address", "tls")
_SLOT_PLAIN = tuple(f for f in SlotRow.__slots__ if f not in ("index", "state", "key", *_SLOT_TEXT))
_CLIENT_TEXT = ("user", "database", "address", "application", "tls")
_CLIENT_PLAIN = tuple(f for f in ClientRow.__slots__ if f not in ("client", "state", *_CLIENT_TEXT))
_WORKER_LISTS = ("refusals", "visits", "memory_bytes")
_WORKER_PLAIN = tuple(f for f in WorkerRow.__slots__ if f not in ("index", *_WORKER_LISTS))


def now_ns() -> int:
    """Return the engine's clock, CLOCK_MONOTONIC in nanoseconds."""
    return int(lib.gp_now_ns())


def io_uring_refusal() -> int:
    """Return 0 if this process may use io_uring, otherwise the errno that says why not."""
    return int(lib.gp_io_uring_refusal())


def reason_text(reason: Reason) -> str:
    """Return the words for a reason, as logs show them."""
    return _text(lib.gp_reason_text(reason))


def time_bounds_ns() -> list[int]:
    """Return the longest time of each bucket; of the last one any longer one has it, too."""
    return [int(lib.gp_time_bound_ns(bucket)) for bucket in range(TIME_BUCKETS)]


class Segment:
    """The shared memory of one greenpool: made before the fork, usable in every child.

    `is_fresh`: no pool has settings in it, whatever else is there.
    """

    __slots__ = ("_seg", "clients_max", "is_fresh", "pools_max", "workers")

    def __init__(
        self, seg: Any, workers: int, pools_max: int, clients_max: int, is_fresh: bool = True
    ) -> None:
        self._seg = seg
        self.is_fresh = is_fresh
        self.workers = workers
        self.pools_max = pools_max
        self.clients_max = clients_max

    @classmethod
    def create(cls, workers: int, pools_max: int, clients_max: int) -> Self:
        """Map a segment, sparse, with places for that many workers.

        `clients_max` counts the admin's rows too. Raises: EngineError.
        """
        seg = lib.gp_segment_create(workers, pools_max, clients_max)
        if seg == ffi.NULL:
            raise EngineError(f"cannot map the shared segment: {os.strerror(ffi.errno)}")
        return cls(seg, workers, pools_max, clients_max)

    @classmethod
    def attach(cls, fd: int, common_fd: int) -> Self:
        """Map the segment that another program made, all of its `fds` inherited.

        It `is_fresh` when that program has another layout; then what is common is shared, and `fd`
        is closed. Raises: EngineError, also when the common part is not as it is here.
        """
        version, fresh = ffi.new("uint32_t *"), ffi.new("bool *")
        seg = lib.gp_segment_attach(fd, common_fd, version, fresh)
        if seg == ffi.NULL:
            why = os.strerror(ffi.errno)
            if ffi.errno == errno.EPROTO:
                why = f"what is common has form {version[0]}, which this version does not know"
            raise EngineError(f"cannot take over the shared segment: {why}")
        size = ffi.new("struct gp_segment_size *")
        lib.gp_segment_size(seg, size)
        return cls(seg, size.workers, size.pools_max, size.clients_max, bool(fresh[0]))

    def fds(self) -> list[int]:
        """Return what `attach` needs inherited at the same numbers, its arguments first."""
        numbers = ffi.new("int32_t[]", lib.GP_SEGMENT_FDS_MAX)
        return list(numbers[0 : lib.gp_segment_fds(self._seg, numbers)])

    def close(self) -> None:
        """Unmap it and close its descriptors, in this process only. Calling twice is harmless."""
        if self._seg is not None:
            lib.gp_segment_destroy(self._seg)
            self._seg = None

    def limits(self, clients_limit: int, max_creates: int) -> None:
        """Set max_connections and max_concurrent_creates."""
        lib.gp_segment_limits(self._seg, clients_limit, max_creates)

    def bound_memory(self, limit_bytes: int) -> None:
        """Set max_memory_usage; 0: no limit."""
        lib.gp_segment_bound_memory(self._seg, limit_bytes)

    def define_pool(self, database: str, user: str, settings: PoolSettings) -> int:
        """Find or make the pool, apply the settings, return its index. Raises: EngineError."""
        wire = ffi.new("struct gp_pool_settings *")
        for field in _SETTINGS:
            setattr(wire, field, int(getattr(settings, field)))
        index = ffi.new("uint32_t *")
        names = (_name(database), _name(user))
        _check(lib.gp_pool_define(self._seg, *names, wire, index), f'pool "{database}"')
        return int(index[0])

    def define_database(self, name: str, settings: DatabaseSettings) -> int:
        """Find or make the database, apply the settings, return its index. Raises: EngineError."""
        wire = ffi.new("struct gp_database_settings *")
        for field in DatabaseSettings.__slots__:
            setattr(wire, field, getattr(settings, field))
        index = ffi.new("uint32_t *")
        _check(lib.gp_database_define(self._seg, _name(name), wire, index), f'database "{name}"')
        return int(index[0])

    def database_rows(self) -> list[DatabaseRow]:
        """Return the databases that have pools."""
        row = ffi.new("struct gp_database_row *")
        rows = []
        for index in range(lib.gp_databases_high(self._seg)):
            if lib.gp_database_row(self._seg, index, row) == Result.OK and row.pools:
                plain = (getattr(row, f) for f in _DATABASE_PLAIN)
                rows.append(DatabaseRow(index, _text(row.name), *plain))
        return rows

    def remove_pool(self, index: int) -> None:
        """Take a pool out of use; its idle servers are retired. Raises: EngineError."""
        _check(lib.gp_pool_remove(self._seg, index), f"pool {index}")

    def vacate_pool(self, index: int, heir: int) -> None:
        """Let the next pool have a removed one's place, which nobody names any more.

        What it has counted is the heir's from now on. Raises: EngineError while it has servers.
        """
        _check(lib.gp_pool_vacate(self._seg, index, heir), f"pool {index}")

    def renew_pool(self, index: int) -> None:
        """Have all servers of a pool replaced as they become idle."""
        lib.gp_pool_renew(self._seg, index)

    def login_allowed(self, address: bytes, rate: int) -> bool:
        """Say whether an address may try to log in, `rate` times a second at most; that counts."""
        return bool(lib.gp_login_allowed(self._seg, address, len(address), rate))

    def hold(self, pool: int, bits: Hold) -> None:
        """Pause or disable a pool; every worker obeys within a tenth of a second."""
        lib.gp_pool_hold(self._seg, pool, bits)

    def unhold(self, pool: int, bits: Hold) -> None:
        """Take that back."""
        lib.gp_pool_unhold(self._seg, pool, bits)

    def held(self, pool: int) -> Hold:
        """Return what a pool is held by."""
        return Hold(lib.gp_pool_held(self._seg, pool))

    def reconnect(self, pool: int) -> None:
        """Have all servers of a pool replaced as they become idle; what they told stays true."""
        lib.gp_pool_reconnect(self._seg, pool)

    def suspend(self, wanted: bool) -> None:
        """Have all workers read from nobody any more, or go on."""
        lib.gp_segment_suspend(self._seg, wanted)

    def is_suspended(self) -> bool:
        """Say whether they have been told so."""
        return bool(lib.gp_segment_suspended(self._seg))

    def kill_pool(self, pool: int) -> None:
        """Pause a pool, and drop its clients and servers at once."""
        lib.gp_pool_kill(self._seg, pool)

    def doom(self, client: ClientRow) -> None:
        """Drop this client of a pool, but nobody who has its number after it."""
        lib.gp_client_doom(self._seg, client.client, client.connected_ns)

    def accept(self, worker: int, wanted: bool) -> None:
        """Say whether clients that other workers accept may be passed to this one."""
        lib.gp_segment_accept(self._seg, worker, wanted)

    def client_from(self, client: int, address: bytes, limit: int) -> bool:
        """Count a client's row as one of an address; say whether there are no more than `limit`.

        0: there may be any number.
        """
        return bool(lib.gp_client_from(self._seg, client, address, len(address), limit))

    def reclaim(self, worker: int) -> None:
        """Undo all that a dead worker left. After waitpid, before its successor is forked."""
        lib.gp_segment_reclaim(self._seg, worker)

    def handshake_turn(self, per_second: int, patience_s: float) -> float | None:
        """Take the turn of one more TLS handshake; return in how many seconds it comes.

        None: that would be longer than `patience_s`, and no turn was taken.
        """
        patience_ns = int(patience_s * _NS_PER_S)
        wait_ns = int(lib.gp_handshake_turn(self._seg, per_second, patience_ns))
        return wait_ns / _NS_PER_S if wait_ns <= patience_ns else None

    def audit(self) -> Audit:
        """Compare all places of the segment with each other."""
        audit = ffi.new("struct gp_audit *")
        lib.gp_segment_audit(self._seg, audit)
        return Audit(*(getattr(audit, field) for field in Audit.__slots__))

    def pool_row(self, index: int) -> PoolRow | None:
        """Return one pool, or None if there is no such pool (any more)."""
        if index >= self.pools_max:
            return None
        row = ffi.new("struct gp_pool_row *")
        if lib.gp_pool_row(self._seg, index, row) != Result.OK:
            return None
        return _pool_row(index, row)

    def pool_rows(self) -> list[PoolRow]:
        """Return all pools in use, in the order of their definition."""
        high = lib.gp_pools_high(self._seg)
        rows = ffi.new("struct gp_pool_row[]", high)
        count = lib.gp_pool_rows(self._seg, rows, high)
        return [_pool_row(index, rows[index]) for index in range(count) if rows[index].in_use]

    def slot_row(self, pool: int, slot: int) -> SlotRow | None:
        """Return one server connection, or None if the place is free."""
        row = ffi.new("struct gp_slot_row *")
        if lib.gp_slot_row(self._seg, pool, slot, row) != Result.OK:
            return None
        plain = {f: getattr(row, f) for f in _SLOT_PLAIN}
        key = bytes(ffi.buffer(row.key, row.key_length))
        texts: dict[str, Any] = {f: _text(getattr(row, f)) for f in _SLOT_TEXT}
        return SlotRow(index=slot, state=SlotState(row.state), key=key, **plain, **texts)

    def slot_rows(self, pool: int) -> list[SlotRow]:
        """Return the server connections of a pool, free places left out."""
        rows = (self.slot_row(pool, slot) for slot in range(lib.gp_slots_high(self._seg, pool)))
        return [row for row in rows if row is not None]

    def client_row(self, client: int) -> ClientRow | None:
        """Return one client by its number, or None if that row is free."""
        row = ffi.new("struct gp_client_info *")
        if lib.gp_client_info(self._seg, client, row) != Result.OK:
            return None
        plain = {f: getattr(row, f) for f in _CLIENT_PLAIN}
        texts: dict[str, Any] = {f: _text(getattr(row, f)) for f in _CLIENT_TEXT}
        return ClientRow(client=client, state=ClientState(row.state), **plain, **texts)

    def client_rows(self) -> Iterator[ClientRow]:
        """Go through all clients of all workers; each row is read when it is asked for."""
        client = 0
        while client := lib.gp_client_next(self._seg, client):
            row = self.client_row(client)
            if row is not None:
                yield row

    def worker_rows(self) -> list[WorkerRow]:
        """Return every worker's place, dead ones too."""
        rows = []
        row = ffi.new("struct gp_worker_row *")
        for index in range(self.workers):
            _check(lib.gp_worker_row(self._seg, index, row), f"worker {index}")
            plain = {f: getattr(row, f) for f in _WORKER_PLAIN}
            lists: dict[str, Any] = {f: tuple(getattr(row, f)) for f in _WORKER_LISTS}
            rows.append(WorkerRow(index, **plain, **lists))
        return rows

    def times(self, kind: TimeKind, pool: int | None = None, worker: int | None = None) -> Times:
        """Return how long things took; None: of all pools, of all workers.

        What was measured in pools that were removed stays.
        """
        sums = ffi.new("struct gp_time_sums *")
        where = (lib.GP_ALL if each is None else each for each in (pool, worker))
        lib.gp_times_read(self._seg, *where, kind, sums)
        return Times(sums.sum_ns, ffi.unpack(sums.counts, TIME_BUCKETS))

    @property
    def chronicle(self) -> Chronicle:
        """What has happened to the house."""
        return Chronicle(self._seg)

    def statement_holders(self, pool: int, identity: int) -> int:
        """Return how many servers of a pool hold a statement."""
        return int(lib.gp_statement_holders(self._seg, pool, identity >> 64, identity & _WORD))

    def note_version(self, pool: int, kind: NoteKind) -> int:
        """Return a number that grows with each change of a pool's note."""
        return int(lib.gp_note_version(self._seg, pool, kind))

    def read_note(self, pool: int, kind: NoteKind) -> tuple[int, bytes]:
        """Return a note's version and text; b"" while nobody has written it."""
        buffer = ffi.new("uint8_t[]", NOTE_BYTES[kind])
        version = ffi.new("uint64_t *")
        length = lib.gp_note_read(self._seg, pool, kind, buffer, len(buffer), version)
        return int(version[0]), bytes(ffi.buffer(buffer, length))

    def write_note(self, pool: int, kind: NoteKind, worker: int, data: bytes) -> Result:
        """Write a note in the name of a worker: what is not OK has changed nothing.

        EFULL: it is too long. AGAIN: another worker is writing. ENOENT: no such pool (any more).
        """
        return Result(lib.gp_note_write(self._seg, pool, kind, worker, data, len(data)))

    def new_engine(self, worker: int, io: EngineIo) -> Any:
        """Make the C engine of a worker in this process; `Engine` calls it, nobody else."""
        return lib.gp_engine_new(self._seg, worker, io)


class Engine:
    """One worker's engine. Every descriptor given to it must be nonblocking."""

    __slots__ = ("_engine", "_events", "worker")

    def __init__(self, segment: Segment, worker: int, io: EngineIo) -> None:
        """Runs after the fork. Raises: EngineError."""
        self._engine = segment.new_engine(worker, io)
        if self._engine == ffi.NULL:
            raise EngineError(f"cannot start the engine with {io}: {os.strerror(ffi.errno)}")
        self._events = ffi.new("struct gp_event[]", EVENTS_PER_STEP)
        self.worker = worker

    def close(self) -> None:
        """Free it. Calling twice is harmless; any other call afterwards is a bug."""
        if self._engine is not None:
            lib.gp_engine_free(self._engine)
            self._engine = None

    # ---- the loop --------------------------------------------------------------------------

    def fd(self) -> int:
        """Return the descriptor that is readable when a step has work to do."""
        return int(lib.gp_engine_fd(self._engine))

    def hot(self, loop_fd: int) -> None:
        """Let hot steps sleep on libev's own descriptor; -1 forbids it."""
        lib.gp_engine_hot(self._engine, loop_fd)

    def step(self) -> list[Event]:
        """Relay until nothing is left, the bound is reached or Python is needed.

        `EVENTS_PER_STEP` events mean that more may follow: step again before sleeping.
        """
        events = self._events
        count = lib.gp_engine_step(self._engine, events, EVENTS_PER_STEP)
        if not count:
            return []
        return [
            Event(_EVENT_KINDS[e.kind], e.client, e.pool, e.slot, e.detail) for e in events[0:count]
        ]

    def sweep(self) -> None:
        """Do what goes by time; call about every 100 ms. Events come with the next step."""
        lib.gp_engine_sweep(self._engine)

    def drain(self) -> None:
        """Close clients as they become idle; EventKind.DRAINED follows when none is left."""
        lib.gp_engine_drain(self._engine)

    def move(self, client: int, target: int) -> Result:
        """Have another worker serve a client as soon as it can be moved.

        ENOENT: no such client here, or no such worker. EPROTO: this client cannot be moved.
        """
        return Result(lib.gp_engine_move(self._engine, client, target))

    def hand_over(self, targets: Sequence[int]) -> None:
        """Give all clients and servers to these workers; EventKind.DRAINED when none is left.

        Called again, these are the targets; none: all goes on as before.
        """
        lib.gp_engine_hand_over(self._engine, ffi.new("uint32_t[]", targets), len(targets))

    def pumps(self) -> int:
        """Count the clients of other workers whose TLS session is here."""
        return int(lib.gp_engine_pumps(self._engine))

    def leave_pumps(self) -> None:
        """Leave these sessions to a process of their own, before this one exits.

        No other thread may be at work. Raises: EngineError when there is no room for a process;
        they go on here.
        """
        if lib.gp_engine_leave_pumps(self._engine) != Result.OK:
            raise EngineError(f"cannot fork: {os.strerror(ffi.errno)}")

    def busy(self, busy_permille: int, clients: int) -> None:
        """Publish this worker's load, by which connections are placed."""
        lib.gp_engine_busy(self._engine, busy_permille, clients)

    def counts(self) -> StepCounts:
        """Return what the engine has done so far."""
        counts = ffi.new("struct gp_engine_counts *")
        lib.gp_engine_counts(self._engine, counts)
        return StepCounts(*(getattr(counts, field) for field in StepCounts.__slots__))

    # ---- guests: clients from accept to their startup packet -------------------------------

    def listen(self, fd: int) -> None:
        """Accept clients from this socket, which must stay open until `deafen`."""
        _check(lib.gp_engine_listen(self._engine, fd), "a listening socket")

    def deafen(self) -> None:
        """Accept no more, from any of them."""
        lib.gp_engine_deafen(self._engine)

    def mind_farewells(self, told: bool) -> None:
        """Say whether GOODBYE tells of clients that end by themselves, too.

        Otherwise the engine forgets and closes most of them; see `gp_engine_farewells`.
        """
        lib.gp_engine_farewells(self._engine, told)

    def receive_guests(self, manners: GuestManners) -> None:
        """Say how guests are received from now on."""
        wire = ffi.new("struct gp_guest_settings *")
        for field in GuestManners.__slots__:
            if field != "tls":
                setattr(wire, field, getattr(manners, field))
        if manners.tls is not None:
            wire.tls = manners.tls.pointer
        lib.gp_engine_guests(self._engine, wire)

    def guest_count(self) -> int:
        """Return how many there are."""
        return int(lib.gp_guests_here(self._engine))

    def take_guest(self, *, any_of_them: bool = False) -> Guest | None:
        """Take a guest whose like is not known, its descriptor with it; None: there is none.

        `any_of_them`: or one that has not said anything yet.
        """
        found = ffi.new("struct gp_guest_info *")
        if not lib.gp_guest_take(self._engine, any_of_them, found):
            return None
        return Guest(
            fd=found.fd,
            family=found.family,
            address=(_text(found.host), found.port) if found.host[0] != b"\0" else "",
            spent_ms=found.spent_ms,
            refused=EncryptionFlags(found.refused),
            said=bytes(ffi.buffer(found.said, found.said_length)) if found.said_length else b"",
            neighbours=found.neighbours,
            tls=TlsSession(found.tls) if found.tls != ffi.NULL else None,
            is_direct=found.direct,
        )

    # ---- plans that are known --------------------------------------------------------------

    def know_plan(self, who: bytes, packet: bytes, plan: LoginPlan, as_of: int) -> None:
        """Have clients who show this follow a plan; see `_cparser/plans.h`. Raises: EngineError.

        `as_of`: the version of the pool's NoteKind.WELCOME that its terms were made from.
        """
        key = (who, len(who), packet, len(packet))
        _check(lib.gp_plan_know(self._engine, *key, plan.pointer, as_of), "a plan")

    def plan_tag(self, who: bytes, packet: bytes) -> int:
        """Return the tag of the plan that such a client would follow; 0: none is known."""
        return int(lib.gp_plan_tag(self._engine, who, len(who), packet, len(packet)))

    def forget_plans(self, pool: int | None = None) -> None:
        """Forget the plans whose terms are this pool's; None: all there are."""
        lib.gp_plans_forget(self._engine, lib.GP_ALL if pool is None else pool)

    # ---- clients ---------------------------------------------------------------------------

    def enter(self, reserve: bool, address: str) -> int:
        """Claim a client row, return its number; 0 when full. `reserve`: the admin's rows too."""
        return int(lib.gp_client_enter(self._engine, reserve, _bytes(address)))

    def refused(self, refusal: Refusal) -> None:
        """Count a client that was not let in."""
        lib.gp_login_refused(self._engine, refusal)

    def visited(self, visit: Visit) -> None:
        """Count what came of a connection that Python took and that does not log in."""
        lib.gp_visit_count(self._engine, visit)

    @property
    def inventory(self) -> Inventory:
        """What this worker has in its hands."""
        return Inventory(self._engine)

    def client_key(self, client: int, key_length: int) -> bytes:
        """Make and return the client's cancel key of 4 to 32 bytes. Raises: EngineError."""
        key = ffi.new("uint8_t[]", key_length)
        _check(lib.gp_client_key(self._engine, client, key_length, key), f"client {client}")
        return bytes(ffi.buffer(key))

    def names(
        self, client: int, user: str | None, database: str | None, application: str | None
    ) -> None:
        """Set what SHOW CLIENTS shows; None leaves a name as it is."""
        user_, database_, application_ = map(_optional, (user, database, application))
        lib.gp_client_names(self._engine, client, user_, database_, application_)

    def encrypted(self, client: int, tls: TlsSession) -> None:
        """Say what a client speaks after its handshake, for SHOW CLIENTS."""
        lib.gp_client_encrypted(self._engine, client, tls.pointer)

    def login(
        self,
        client: int,
        plan: LoginPlan,
        fd: int,
        tls: TlsSession | None = None,
        spent_ms: int = 0,
        early: bytes = b"",
    ) -> None:
        """Let a client in as planned; it is the engine's until its GOODBYE. Raises: EngineError.

        `spent_ms`: how much of the plan's time is over; `early`: bytes already read from it. The
        descriptor is the engine's, unless this raises; `tls` is no longer the caller's.
        """
        arguments = (client, plan.pointer, fd, _given(tls), spent_ms, early, len(early))
        _check(lib.gp_client_login(self._engine, *arguments), f"client {client}")

    def welcome(self, client: int, plan: LoginPlan) -> bool:
        """Let in a client that PROVED told of, on these terms; False: it has gone meanwhile."""
        return int(lib.gp_client_welcome(self._engine, client, plan.pointer)) == Result.OK

    def dismiss(self, client: int, words: bytes) -> bool:
        """End a client that PROVED told of; False: it has gone meanwhile."""
        return int(lib.gp_client_dismiss(self._engine, client, words, len(words))) == Result.OK

    def proof(self, client: int) -> bytes | None:
        """Return the ClientKey of a client that PROVED told of, if it has shown one."""
        key = ffi.new("uint8_t[]", 32)
        return bytes(ffi.buffer(key)) if lib.gp_client_proof(self._engine, client, key) else None

    def fault(self, client: int) -> Fault | None:
        """Return why the engine has refused a client, between its goodbye and `forget`."""
        found = ffi.new("struct gp_fault *")
        return read_fault(found) if lib.gp_client_fault(self._engine, client, found) else None

    def kill(self, client: int, reason: Reason, sqlstate: str, message: str) -> bool:
        """Close a client with this FATAL error; False: it is not in the relay's hands."""
        result = lib.gp_client_kill(self._engine, client, reason, _bytes(sqlstate), _bytes(message))
        return int(result) == Result.OK

    def forget(self, client: int) -> int:
        """Give back the row: after the goodbye, or when the login failed.

        Return the descriptor, which is the caller's then; -1: the engine has had none.
        """
        return int(lib.gp_client_forget(self._engine, client))

    def clients(self) -> Iterator[int]:
        """Go through the clients of this worker, each looked for when it is asked for."""
        client = 0
        while client := lib.gp_client_here(self._engine, client):
            yield client

    def client_count(self) -> int:
        """Return how many these are."""
        return int(lib.gp_clients_here(self._engine))

    def is_own(self, client: int) -> bool:
        """Say whether greenpool itself is this client, which is not worth a log."""
        return bool(lib.gp_client_is_own(self._engine, client))

    # ---- servers ---------------------------------------------------------------------------

    def grow(self, pool: int) -> None:
        """Ask for servers where clients wait, and for min_pool_size; OPEN events follow."""
        lib.gp_pool_grow(self._engine, pool)

    def server_opened(
        self,
        pool: int,
        slot: int,
        fd: int,
        tls: TlsSession | None,
        backend_pid: int,
        key: bytes,
        lifetime_ns: int,
        address: str,
    ) -> None:
        """Give a logged-in server to the engine, which owns the descriptor from here.

        `lifetime_ns` 0 means none. Raises: EngineError; the descriptor is then still the caller's,
        but never `tls`. A server with TLS is this worker's alone.
        """
        result = lib.gp_server_opened(
            self._engine,
            *(pool, slot, fd, _given(tls), backend_pid),
            *(key, len(key)),
            *(lifetime_ns, _bytes(address)),
        )
        _check(result, f"server {slot} of pool {pool}")

    def server_failed(
        self, pool: int, slot: int, ailment: Ailment, sqlstate: str = "", why: str = ""
    ) -> None:
        """Free the place of a login that failed; `_cparser/outage.h` tells what follows.

        With a SQLSTATE all who wait in the pool, in all workers, get this FATAL error; without one
        it may pass, and who waits in vain is told why.
        """
        lib.gp_server_failed(self._engine, pool, slot, ailment, _bytes(sqlstate), _bytes(why))

    def spare(self, pool: int, slot: int) -> bool:
        """Give up a login that has not begun, if it is of no use any more."""
        return bool(lib.gp_server_spare(self._engine, pool, slot))

    def answer(self, pool: int, query: bytes, reply: bytes) -> None:
        """Answer this whole Query message with `reply`, when a client at rest sends it.

        One a pool: the last call wins, and b"" means none. Raises: EngineError.
        """
        result = lib.gp_pool_answer(self._engine, pool, query, len(query), reply, len(reply))
        _check(result, f"pool {pool}")

    def surrender(self, pool: int, slot: int) -> tuple[int, TlsSession | None]:
        """Take the descriptor of a server to retire, and its TLS; -1: this worker never had it."""
        tls = ffi.new("struct gp_tls **")
        fd = int(lib.gp_server_surrender(self._engine, pool, slot, tls))
        return fd, TlsSession(tls[0]) if tls[0] != ffi.NULL else None

    def freed(self, pool: int, slot: int) -> None:
        """Free the place of a server that PostgreSQL has hung up on, or that was given up."""
        lib.gp_server_freed(self._engine, pool, slot)

    def retire_idle(self, pool: int, reason: Reason) -> int:
        """Retire every idle server of the pool that this worker can take, return how many."""
        return int(lib.gp_pool_retire_idle(self._engine, pool, reason))

    # ---- functions that change sessions ----------------------------------------------------

    def suspects_known(self, pool: int) -> tuple[bool, int]:
        """Return whether the pool has a list, and as of what another would be told."""
        as_of = ffi.new("uint32_t *")
        is_known = bool(lib.gp_suspects_known(self._engine, pool, as_of))
        return is_known, int(as_of[0])

    def suspects_due(self, pool: int, period_s: float) -> bool:
        """Say whether this worker is to ask for the list; yes is said once in a period."""
        return bool(lib.gp_suspects_due(self._engine, pool, int(period_s * _NS_PER_S)))

    def tell_suspects(
        self, pool: int, as_of: int, flags: SuspectFlags, words: bytes, settings: bytes
    ) -> Result:
        """Publish a list: names with a zero between, and ",app.x,app.y". As `write_note`."""
        result = lib.gp_suspects_tell(
            self._engine,
            *(pool, as_of, flags),
            *(words, len(words)),
            *(settings, len(settings)),
        )
        return Result(result)

    # ---- cancel ----------------------------------------------------------------------------

    def cancel_start(self, client: int, key: bytes) -> CancelTarget | Result:
        """Pin the server of the client with that key; `cancel_done` must follow.

        ENOENT: no such client. AGAIN: it has no server (a waiting one has been answered).
        EFULL: too many cancels of that server at once.
        """
        pool, slot, generation = (ffi.new("uint32_t *") for _ in range(3))
        result = Result(
            lib.gp_cancel_start(self._engine, client, key, len(key), pool, slot, generation)
        )
        if result is not Result.OK:
            return result
        return CancelTarget(pool[0], slot[0], generation[0])

    def cancel_done(self, target: CancelTarget) -> None:
        """Let go of the server: PostgreSQL has seen the cancel, or it could not be sent."""
        lib.gp_cancel_done(self._engine, target.pool, target.slot, target.generation)

    def server_canceled(self, pool: int, slot: int) -> None:
        """Tell that the cancel which a CANCEL event asked for has been delivered."""
        lib.gp_server_canceled(self._engine, pool, slot)


def _given(tls: TlsSession | None) -> Any:
    return ffi.NULL if tls is None else tls.give_away()


def _pool_row(index: int, row: Any) -> PoolRow:
    fields = {f: getattr(row.settings, f) for f in _SETTINGS}
    fields["mode"] = PoolMode(fields["mode"])
    fields["session_state"] = SessionHandling(fields["session_state"])
    fields["deferred_begin"] = bool(fields["deferred_begin"])
    plain = {f: getattr(row, f) for f in _POOL_PLAIN}
    plain |= {f: tuple(getattr(row, f)) for f in _POOL_LISTS}
    return PoolRow(index, _text(row.database), _text(row.user), PoolSettings(**fields), **plain)


def _check(result: int, what: str) -> None:
    if result != Result.OK:
        raise EngineError(f"{what}: {_text(lib.gp_result_text(result))}")


def _text(chars: Any) -> str:
    data: bytes = ffi.string(chars)
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    """Encode for a `const char *`: what follows a zero byte would be lost unseen."""
    data = text.encode("utf-8", "surrogateescape")
    return data.replace(b"\0", b"?")


def _optional(text: str | None) -> Any:
    return ffi.NULL if text is None else _bytes(text)


def _name(text: str) -> bytes:
    data = _bytes(text)
    if not 0 < len(data) <= NAME_BYTES:
        raise EngineError(f'name "{text}" must have 1 to {NAME_BYTES} bytes')
    return data
