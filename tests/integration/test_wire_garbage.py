"""Bytes that no client should send, two thousand sessions of them, against a live pool.

No worker dies, PostgreSQL executes nothing that a client has not said in full, what breaks the
protocol is told so, and the pool works on. The insert below is sent only with its end cut off.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator

import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.differential.stage import Stage, pool_of
from tests.integration.harness import messages
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Message, Wire

pytestmark = ANY_POSTGRESQL

SESSIONS = 2000
_PER_CHECK = 100

_STARTUP = messages.startup({"user": "app", "database": "app"})
_INSERT = messages.query("insert into t values (800)")
_CONVERSATION = (
    messages.query("select 1")
    + messages.extended("select $1::text", [b"x" * 300])
    + messages.query("copy t to stdout")
    + messages.query("begin")
    + messages.query("rollback")
)

Random = random.Random
Session = Callable[[Random], bytes]


def _truncated_startup(rng: Random) -> bytes:
    return _STARTUP[: rng.randrange(len(_STARTUP))]


def _startup_of_any_length(rng: Random) -> bytes:
    length = rng.choice([0, 3, 4, 7, 8, 9, 10240, 10241, 0x7FFFFFFF, 0xFFFFFFFF])
    return struct.pack("!I", length) + _STARTUP[4:]


def _startup_of_any_version(rng: Random) -> bytes:
    return _STARTUP[:4] + rng.randbytes(4) + _STARTUP[8:]


def _mangled_startup(rng: Random) -> bytes:
    return _mangled(rng, _STARTUP)


def _requests_before_startup(rng: Random) -> bytes:
    requests = [messages.ssl_request(), messages.gssenc_request(), messages.query("select 1")]
    return b"".join(rng.choices(requests, k=rng.randrange(1, 6)))


def _cancel_of_anyone(rng: Random) -> bytes:
    return messages.cancel_request(rng.randbytes(rng.choice([0, 3, 4, 8, 12, 36, 260, 300])))


def _noise(rng: Random) -> bytes:
    return rng.randbytes(rng.randrange(1, 400))


def _truncated_insert(rng: Random) -> bytes:
    return _INSERT[: -rng.randrange(1, len(_INSERT))]


def _truncated_conversation(rng: Random) -> bytes:
    return _CONVERSATION[: rng.randrange(len(_CONVERSATION))]


def _mangled_conversation(rng: Random) -> bytes:
    return _mangled(rng, _CONVERSATION)


def _replayed_startup(rng: Random) -> bytes:
    return _CONVERSATION[: rng.randrange(2) * 14] + _STARTUP


def _message_of_any_length(rng: Random) -> bytes:
    kind = rng.choice(b"QPBDECSHFXdcfp")
    return bytes([kind]) + struct.pack("!I", rng.choice([0, 1, 3, 0x40000000, 0xFFFFFFFF]))


def _message_of_any_type(rng: Random) -> bytes:
    return messages.message(bytes([rng.randrange(256)]), rng.randbytes(rng.randrange(40)))


def _mangled(rng: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


BEFORE_LOGIN: list[Session] = [
    _truncated_startup,
    _startup_of_any_length,
    _startup_of_any_version,
    _mangled_startup,
    _requests_before_startup,
    _cancel_of_anyone,
    _noise,
]
AFTER_LOGIN: list[Session] = [
    _truncated_insert,
    _truncated_conversation,
    _mangled_conversation,
    _replayed_startup,
    _message_of_any_length,
    _message_of_any_type,
    _noise,
]


@pytest.fixture
def stage(pg: PostgreSQL, database: str) -> Iterator[Stage]:
    with Stage(pg, database) as found:
        found.reset()
        yield found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_thousand_bad_sessions_do_no_harm(stage: Stage, make_pooler: MakePooler) -> None:
    pooler = make_pooler(
        2, pools={stage.database: pool_of(4)}, log_client_connections=False,
        log_client_disconnections=False,
    )  # fmt: skip
    workers = pooler.worker_pids()
    rng = random.Random(stage.pg.major)
    for number in range(SESSIONS):
        _bad_session(rng, pooler, stage.database)
        if number % _PER_CHECK == 0:
            _see_it_work(pooler, stage)
    _see_it_work(pooler, stage)
    stage.assert_quiet()
    assert stage.contents() == [(1, "one"), (2, "two"), (3, "three")]
    assert pooler.worker_pids() == workers
    wait_for(lambda: len(stage.pg.backends("app", stage.database)) <= 4, "at most four servers")


def _bad_session(rng: Random, pooler: Pooler, database: str) -> None:
    """Send it whole or in two pieces; leave at once, or after the first bytes of an answer."""
    is_logged_in = rng.random() < 0.5
    data = rng.choice(AFTER_LOGIN if is_logged_in else BEFORE_LOGIN)(rng)
    cut = rng.randrange(len(data) + 1)
    with Wire.connect(pooler.host, pooler.port) as wire:
        if is_logged_in:
            wire.login("app", database)
        try:
            wire.send(data[:cut])
            wire.send(data[cut:])
            if rng.random() < 0.2:
                wire.is_silent(0.02)
        except ConnectionError:
            pass  # refused before its second piece came


def _see_it_work(pooler: Pooler, stage: Stage) -> None:
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login("app", stage.database)
        assert wire.rows("select count(*) from t") == [[b"3"]]


def _last_words(pooler: Pooler, stage: Stage, data: bytes, first: bytes = b"") -> list[Message]:
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login("app", stage.database)
        if first:
            wire.send(first)
            wire.read_until(b"Z")
        wire.send(data)
        return wire.read_to_end()


@pytest.mark.parametrize("first", ["", "select 1", "begin"])
def test_bad_lengths_are_told(stage: Stage, make_pooler: MakePooler, first: str) -> None:
    """PostgreSQL logs "invalid message length" and closes; greenpool says it to the client, too."""
    pooler = make_pooler(1, pools={stage.database: pool_of(1)})
    before = messages.query(first) if first else b""
    for kind in (b"Q", b"P", b"B", b"D", b"E", b"C", b"F", b"S", b"H", b"X", b"d", b"c", b"f"):
        for length in (0, 1, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
            (said,) = _last_words(pooler, stage, kind + struct.pack("!I", length), before)
            assert said.kind == b"E", (kind, length)
            assert (said.fields["S"], said.fields["C"]) == ("FATAL", "08P01"), (kind, length)
    stage.assert_quiet()
    _see_it_work(pooler, stage)


def test_what_was_asked_before_is_answered_first(stage: Stage, make_pooler: MakePooler) -> None:
    pooler = make_pooler(1, pools={stage.database: pool_of(1)})
    asked = messages.query("insert into t values (801)") + messages.extended("select 1")
    said = _last_words(pooler, stage, asked + b"Q\0\0\0\1")
    assert b"".join(each.kind for each in said) == b"CZ12TDCZE"
    assert (801, None) in stage.contents()
