"""Logins as the engine runs them: plans, and the exchange by itself where Python has the socket.

    Challenge + Terms --> LoginPlan --> Engine.login       the engine has the socket
                                   \\-> LoginExchange       Python has it: the admin console

Thin, as `engine.py`; contracts stand at the prototypes in `_cparser/engine_clients.h`. Law: a
plan holds secrets and never shows itself; the client is told what C found wrong, in those words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from greenpool.binding import bytes_of, ffi, lib, text_of
from greenpool.errors import EngineError
from greenpool.records import NAME_BYTES, LoginMethod, Result

RANDOM_BYTES = int(lib.GP_LOGIN_RANDOM_BYTES)

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class ScramVerifier:
    """What verifies SCRAM; nothing fits it if it `is_doomed`."""

    iterations: int
    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    is_doomed: bool = False


@dataclass(frozen=True, slots=True)
class Challenge:
    """How a client proves that it is `user`.

    `md5` goes with LoginMethod.MD5, `scram` with SCRAM, and `binding` too: the hash of our
    certificate, empty where there is nothing to bind the login to.
    """

    method: LoginMethod
    user: str
    md5: str = field(default="", repr=False)
    scram: ScramVerifier | None = field(default=None, repr=False)
    binding: bytes = b""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a client is let in to. Limits of clients: 0 means none. `key_bytes`: its cancel key."""

    pool: int
    state_hash: int
    state_sql: bytes
    look_sql: bytes
    statuses: bytes = b""
    key_bytes: int = 0
    user_limit: int = 0
    both_limit: int = 0
    database_limit: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a client was refused."""

    sqlstate: str
    message: str
    detail: str | None


class LoginPlan:
    """What is to be done with clients that are alike; freed when no login follows it any more.

    Without `terms` it is open: the engine asks (EventKind.PROVED) when a client has proved who it
    is, and names the plan by its `tag`. `greeting` precedes all else. `tells`: EventKind.SERVED,
    when it is let in.
    """

    __slots__ = ("pointer",)

    def __init__(
        self,
        challenge: Challenge,
        terms: Terms | None = None,
        *,
        database: str = "",
        application: str = "",
        greeting: bytes = b"",
        timeout_ms: int = 0,
        tells: bool = False,
        tag: int = 0,
    ) -> None:
        wire = ffi.new("struct gp_plan_settings *")
        kept = [greeting]  # what the struct only points to
        wire.method, wire.timeout_ms, wire.tells = challenge.method, timeout_ms, tells
        wire.open, wire.tag = terms is None, tag
        wire.user, wire.database = _name(challenge.user), _name(database)
        wire.application = _name(application)
        wire.greeting, wire.greeting_length = _pointer(greeting, kept), len(greeting)
        _put_challenge(wire, challenge)
        if terms is not None:
            _put_terms(wire.terms, terms, kept)
        plan = lib.gp_plan_new(wire)
        if plan == ffi.NULL:
            raise EngineError("cannot make a plan for a login")
        self.pointer = ffi.gc(plan, lib.gp_plan_free)


class LoginExchange:
    """Prove who a client is: feed what it says, send what is returned. Nothing waits.

    Bytes behind the message that ends it are left for `take_rest`.
    """

    __slots__ = ("_login", "_out", "_rest", "fault", "is_proved")

    def __init__(self, challenge: Challenge, random: bytes) -> None:
        if len(random) != RANDOM_BYTES:
            raise ValueError(f"a login needs {RANDOM_BYTES} random bytes")
        login = lib.gp_login_new(LoginPlan(challenge).pointer, random)
        if login == ffi.NULL:
            raise EngineError("cannot make a login")
        self._login = ffi.gc(login, lib.gp_login_free)
        self._out = ffi.new("uint8_t[]", lib.GP_LOGIN_OUT_BYTES)
        self._rest = b""
        self.is_proved = False
        self.fault: Fault | None = None

    def start(self) -> bytes:
        """Return the request to send, or AuthenticationOk when there is nothing to ask."""
        length = ffi.new("uint32_t *")
        return self._went_on(lib.gp_login_start(self._login, self._out, length), length)

    def feed(self, data: bytes) -> bytes:
        """Take bytes, return answers. `fault` is set when it has failed."""
        length, taken = ffi.new("uint32_t *"), ffi.new("uint32_t *")
        result = lib.gp_login_feed(self._login, data, len(data), taken, self._out, length)
        self._rest += data[taken[0] :]
        return self._went_on(result, length)

    def take_rest(self) -> bytes:
        """Return bytes that followed the exchange."""
        rest, self._rest = self._rest, b""
        return rest

    def client_key(self) -> bytes | None:
        """Return the ClientKey that SCRAM has proved; None: it was another method."""
        key = ffi.new("uint8_t[]", _KEY_BYTES)
        return bytes(ffi.buffer(key)) if lib.gp_login_key(self._login, key) else None

    def _went_on(self, result: int, length: Any) -> bytes:
        self.is_proved = result == Result.OK
        if result == Result.EPROTO:
            found = ffi.new("struct gp_fault *")
            lib.gp_login_fault(self._login, found)
            self.fault = read_fault(found)
        return bytes(ffi.buffer(self._out, length[0]))


def read_fault(found: Any) -> Fault:
    """Copy a `struct gp_fault`."""
    sqlstate, message, detail = map(text_of, (found.sqlstate, found.message, found.detail))
    return Fault(sqlstate, message, detail or None)


def _put_challenge(wire: Any, challenge: Challenge) -> None:
    binding, verifier = challenge.binding, challenge.scram
    wire.md5 = challenge.md5.encode()
    wire.binding_length = len(binding)
    ffi.memmove(wire.binding, binding, len(binding))
    if verifier is None:
        return
    scram = wire.scram
    scram.iterations, scram.doomed = verifier.iterations, verifier.is_doomed
    scram.salt_length = len(verifier.salt)
    ffi.memmove(scram.salt, verifier.salt, len(verifier.salt))
    ffi.memmove(scram.stored_key, verifier.stored_key, _KEY_BYTES)
    ffi.memmove(scram.server_key, verifier.server_key, _KEY_BYTES)


def _put_terms(wire: Any, terms: Terms, kept: list[Any]) -> None:
    wire.pool, wire.key_length, wire.state_hash = terms.pool, terms.key_bytes, terms.state_hash
    wire.user_limit, wire.both_limit = terms.user_limit, terms.both_limit
    wire.database_limit = terms.database_limit
    wire.state_sql, wire.state_length = _pointer(terms.state_sql, kept), len(terms.state_sql)
    wire.look_sql, wire.look_length = _pointer(terms.look_sql, kept), len(terms.look_sql)
    wire.statuses, wire.statuses_length = _pointer(terms.statuses, kept), len(terms.statuses)


def _pointer(data: bytes, kept: list[Any]) -> Any:
    buffer = ffi.from_buffer("uint8_t[]", data)
    kept.append(buffer)
    return buffer


def _name(text: str) -> bytes:
    """Encode and cut a name for a row."""
    return bytes_of(text)[:NAME_BYTES]
