"""What all processes share: the segment as Python sees it.

The master makes it before it forks; rows are copies, which anyone may read at any time. Thin, as
`engine.py`; contracts stand at the prototypes in `_cparser/engine_segment.h` and `engine_rows.h`.
No call blocks; none switches greenlets.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any, Self

from greenpool.binding import bytes_of, check, ffi, lib, text_of
from greenpool.chronicle import Chronicle
from greenpool.errors import EngineError
from greenpool.records import (
    NAME_BYTES,
    NOTE_BYTES,
    TIME_BUCKETS,
    ClientState,
    DatabaseSettings,
    EngineIo,
    Hold,
    NoteKind,
    PoolMode,
    PoolSettings,
    Result,
    SessionHandling,
    SlotState,
    TimeKind,
)
from greenpool.rows import Audit, ClientRow, DatabaseRow, PoolRow, SlotRow, Times, WorkerRow

_NS_PER_S = 1_000_000_000
_WORD = (1 << 64) - 1
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
        check(lib.gp_pool_define(self._seg, *names, wire, index), f'pool "{database}"')
        return int(index[0])

    def define_database(self, name: str, settings: DatabaseSettings) -> int:
        """Find or make the database, apply the settings, return its index. Raises: EngineError."""
        wire = ffi.new("struct gp_database_settings *")
        for field in DatabaseSettings.__slots__:
            setattr(wire, field, getattr(settings, field))
        index = ffi.new("uint32_t *")
        check(lib.gp_database_define(self._seg, _name(name), wire, index), f'database "{name}"')
        return int(index[0])

    def database_rows(self) -> list[DatabaseRow]:
        """Return the databases that have pools."""
        row = ffi.new("struct gp_database_row *")
        rows = []
        for index in range(lib.gp_databases_high(self._seg)):
            if lib.gp_database_row(self._seg, index, row) == Result.OK and row.pools:
                plain = (getattr(row, f) for f in _DATABASE_PLAIN)
                rows.append(DatabaseRow(index, text_of(row.name), *plain))
        return rows

    def remove_pool(self, index: int) -> None:
        """Take a pool out of use; its idle servers are retired. Raises: EngineError."""
        check(lib.gp_pool_remove(self._seg, index), f"pool {index}")

    def vacate_pool(self, index: int, heir: int) -> None:
        """Let the next pool have a removed one's place, which nobody names any more.

        What it has counted is the heir's from now on. Raises: EngineError while it has servers.
        """
        check(lib.gp_pool_vacate(self._seg, index, heir), f"pool {index}")

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
        texts: dict[str, Any] = {f: text_of(getattr(row, f)) for f in _SLOT_TEXT}
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
        texts: dict[str, Any] = {f: text_of(getattr(row, f)) for f in _CLIENT_TEXT}
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
            check(lib.gp_worker_row(self._seg, index, row), f"worker {index}")
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

    def pump_pids(self) -> list[int]:
        """Return the pids of processes that keep TLS sessions; some may be dead, or another's."""
        pids = ffi.new("uint32_t[]", lib.GP_PUMPS_MAX)
        return list(pids[0 : lib.gp_pump_pids(self._seg, pids)])

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


def _pool_row(index: int, row: Any) -> PoolRow:
    fields = {f: getattr(row.settings, f) for f in _SETTINGS}
    fields["mode"] = PoolMode(fields["mode"])
    fields["session_state"] = SessionHandling(fields["session_state"])
    fields["deferred_begin"] = bool(fields["deferred_begin"])
    plain = {f: getattr(row, f) for f in _POOL_PLAIN}
    plain |= {f: tuple(getattr(row, f)) for f in _POOL_LISTS}
    return PoolRow(index, text_of(row.database), text_of(row.user), PoolSettings(**fields), **plain)


def _name(text: str) -> bytes:
    data = bytes_of(text)
    if not 0 < len(data) <= NAME_BYTES:
        raise EngineError(f'name "{text}" must have 1 to {NAME_BYTES} bytes')
    return data
