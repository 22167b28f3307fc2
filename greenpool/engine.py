"""The compiled engine as Python sees it; `tls.py` and `login.py` have what it knows of those.

Thin on purpose: a method here checks lengths, keeps buffers alive over the call, and turns C
structs into values and failures into `EngineError`. Contracts stand at the
prototypes in `_cparser/engine.h` and `engine_clients.h`. No call blocks; none switches greenlets.
An `Engine` is one worker's own, made after the fork; `segment.py` has what all processes share.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from greenpool.binding import bytes_of, check, ffi, lib, optional, text_of
from greenpool.errors import EngineError
from greenpool.inventory import Inventory
from greenpool.login import Fault, LoginPlan, read_fault
from greenpool.records import (
    Ailment,
    CancelTarget,
    EncryptionFlags,
    EngineIo,
    Event,
    EventKind,
    Guest,
    GuestManners,
    Reason,
    Refusal,
    Result,
    StepCounts,
    SuspectFlags,
    Visit,
)
from greenpool.rows import Change
from greenpool.segment import Segment
from greenpool.tls import TlsSession

EVENTS_PER_STEP = 256
"""Capacity of one step's answer; a full one means: step again before sleeping."""

_NS_PER_S = 1_000_000_000
_EVENT_KINDS = {int(kind): kind for kind in EventKind}
_CHANGE_TEXT = tuple(f for f in Change.__slots__ if f != "client")


def now_ns() -> int:
    """Return the engine's clock, CLOCK_MONOTONIC in nanoseconds."""
    return int(lib.gp_now_ns())


def io_uring_refusal() -> int:
    """Return 0 if this process may use io_uring, otherwise the errno that says why not."""
    return int(lib.gp_io_uring_refusal())


def reason_text(reason: Reason) -> str:
    """Return the words for a reason, as logs show them."""
    return text_of(lib.gp_reason_text(reason))


def reason_words(reason: Reason) -> tuple[str, str]:
    """Return SQLSTATE and message for a client that ends for a reason which has words."""
    return text_of(lib.gp_reason_sqlstate(reason)), text_of(lib.gp_reason_words(reason))


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
        check(lib.gp_engine_listen(self._engine, fd), "a listening socket")

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

    def take_change(self) -> Change | None:
        """Take the next setting that a client has changed; None: there is none. After CHANGED."""
        row = ffi.new("struct gp_change *")
        if lib.gp_change_take(self._engine, row) != Result.OK:
            return None
        return Change(row.client, **{f: text_of(getattr(row, f)) for f in _CHANGE_TEXT})

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
            address=(text_of(found.host), found.port) if found.host[0] != b"\0" else "",
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
        check(lib.gp_plan_know(self._engine, *key, plan.pointer, as_of), "a plan")

    def plan_tag(self, who: bytes, packet: bytes) -> int:
        """Return the tag of the plan that such a client would follow; 0: none is known."""
        return int(lib.gp_plan_tag(self._engine, who, len(who), packet, len(packet)))

    def forget_plans(self, pool: int | None = None) -> None:
        """Forget the plans whose terms are this pool's; None: all there are."""
        lib.gp_plans_forget(self._engine, lib.GP_ALL if pool is None else pool)

    # ---- clients ---------------------------------------------------------------------------

    def enter(self, reserve: bool, address: str) -> int:
        """Claim a client row, return its number; 0 when full. `reserve`: the admin's rows too."""
        return int(lib.gp_client_enter(self._engine, reserve, bytes_of(address)))

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
        check(lib.gp_client_key(self._engine, client, key_length, key), f"client {client}")
        return bytes(ffi.buffer(key))

    def names(
        self, client: int, user: str | None, database: str | None, application: str | None
    ) -> None:
        """Set what SHOW CLIENTS shows; None leaves a name as it is."""
        user_, database_, application_ = map(optional, (user, database, application))
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
        check(lib.gp_client_login(self._engine, *arguments), f"client {client}")

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

    def kill(
        self, client: int, reason: Reason, sqlstate: str | None = None, message: str = ""
    ) -> bool:
        """Close a client with this FATAL error; False: it is not in the relay's hands.

        None: with the words of the reason.
        """
        words = (optional(sqlstate), bytes_of(message))
        return int(lib.gp_client_kill(self._engine, client, reason, *words)) == Result.OK

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
            *(lifetime_ns, bytes_of(address)),
        )
        check(result, f"server {slot} of pool {pool}")

    def server_failed(
        self, pool: int, slot: int, ailment: Ailment, sqlstate: str = "", why: str = ""
    ) -> None:
        """Free the place of a login that failed; `_cparser/outage.h` tells what follows.

        With a SQLSTATE all who wait in the pool, in all workers, get this FATAL error; without one
        it may pass, and who waits in vain is told why.
        """
        lib.gp_server_failed(self._engine, pool, slot, ailment, bytes_of(sqlstate), bytes_of(why))

    def spare(self, pool: int, slot: int) -> bool:
        """Give up a login that has not begun, if it is of no use any more."""
        return bool(lib.gp_server_spare(self._engine, pool, slot))

    def answer(self, pool: int, query: bytes, reply: bytes) -> None:
        """Answer this whole Query message with `reply`, when a client at rest sends it.

        One a pool: the last call wins, and b"" means none. Raises: EngineError.
        """
        result = lib.gp_pool_answer(self._engine, pool, query, len(query), reply, len(reply))
        check(result, f"pool {pool}")

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
