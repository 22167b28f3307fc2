"""CancelRequest through the pool: from any worker, for every state a client can be in."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import pytest

from tests.integration.conftest import MakePooler
from tests.integration.differential.stage import Stage, pool_of
from tests.integration.harness import messages
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.proxy import Proxy
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

_CANCEL_CODE = struct.pack("!HH", 1234, 5678)
_SLEEP = "select pg_sleep(600)"
VERSIONS = {"3.0": messages.PROTOCOL_3_0, "3.2": messages.PROTOCOL_3_2}


@pytest.fixture
def stage(pg: PostgreSQL, database: str) -> Iterator[Stage]:
    with Stage(pg, database) as found:
        found.reset()
        yield found


def _login(pooler: Pooler, stage: Stage, version: int = messages.PROTOCOL_3_0) -> Wire:
    wire = Wire.connect(pooler.host, pooler.port)
    wire.login("app", stage.database, version=version)
    return wire


def _cancel(pooler: Pooler, key: bytes, times: int = 1) -> None:
    """Send it from so many connections: some come to one worker, some to the other."""
    for _ in range(times):
        with Wire.connect(pooler.host, pooler.port) as wire:
            wire.send(messages.cancel_request(key))
            assert wire.read_to_end() == []


def _wait_until_asleep(stage: Stage) -> None:
    wait_for(
        lambda: any(each.state == "active" for each in stage.pg.backends("app", stage.database)),
        "its query runs",
    )


def _code(wire: Wire) -> str:
    """Read up to ReadyForQuery and return the SQLSTATE of the error on the way."""
    (error,) = [each for each in wire.read_until(b"Z") if each.kind == b"E"]
    return error.fields["C"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_running_query_is_cancelled_from_any_worker(
    stage: Stage, make_pooler: MakePooler, version: str
) -> None:
    pooler = make_pooler(2, pools={stage.database: pool_of(2)})
    wires = [_login(pooler, stage, VERSIONS[version]) for _ in range(12)]
    for wire in wires:
        wire.send(messages.query(_SLEEP))
        _wait_until_asleep(stage)
        _cancel(pooler, wire.backend_key)
        assert _code(wire) == "57014"
        assert wire.rows("select 1") == [[b"1"]]
    for wire in wires:
        wire.sock.close()


def test_keys_are_as_long_as_the_protocol_allows(stage: Stage, make_pooler: MakePooler) -> None:
    pooler = make_pooler(1, pools={stage.database: pool_of(1)})
    with _login(pooler, stage) as old, _login(pooler, stage, messages.PROTOCOL_3_2) as new:
        assert len(old.backend_key) == 8
        assert 8 < len(new.backend_key) <= 4 + 256
        assert old.backend_key[4:] != new.backend_key[4:]


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_query_in_a_transaction_and_in_a_batch_is_cancelled(
    stage: Stage, make_pooler: MakePooler, mode: str
) -> None:
    pooler = make_pooler(2, pools={stage.database: pool_of(2, mode)})
    with _login(pooler, stage) as wire:
        wire.query("begin")
        wire.send(messages.parse(_SLEEP), messages.bind(), messages.execute())
        wire.send(messages.sync(), messages.query("rollback"))
        _wait_until_asleep(stage)
        _cancel(pooler, wire.backend_key)
        assert _code(wire) == "57014"
        assert wire.read_until(b"Z")[-1].body == b"I"
        assert wire.rows("select 1") == [[b"1"]]


def test_copy_is_cancelled(stage: Stage, make_pooler: MakePooler) -> None:
    pooler = make_pooler(1, pools={stage.database: pool_of(1)})
    with _login(pooler, stage) as wire:
        wire.send(messages.query("copy t from stdin"))
        wire.read_until(b"G")
        _cancel(pooler, wire.backend_key)
        wire.send(messages.copy_data(b"700\tx\n"))
        assert _code(wire) == "57014"
        wire.send(messages.copy_done())
        assert wire.rows("select count(*) from t") == [[b"3"]]


def test_an_idle_client_feels_nothing(stage: Stage, make_pooler: MakePooler) -> None:
    pooler = make_pooler(2, pools={stage.database: pool_of(1)})
    with _login(pooler, stage) as idle, _login(pooler, stage) as busy:
        idle.rows("select 1")
        busy.send(messages.query("select pg_sleep(0.3), 'undisturbed'"))
        _wait_until_asleep(stage)
        _cancel(pooler, idle.backend_key, times=6)
        assert busy.read_until(b"Z")[1].values[1] == b"undisturbed"
        assert idle.is_silent(0.05)
        assert idle.rows("select 2") == [[b"2"]]


def test_a_client_idle_in_a_transaction_feels_nothing(
    stage: Stage, make_pooler: MakePooler
) -> None:
    pooler = make_pooler(2, pools={stage.database: pool_of(1)})
    with _login(pooler, stage) as wire:
        wire.query("begin; select 1")
        _cancel(pooler, wire.backend_key, times=4)
        assert wire.rows("select 1") == [[b"1"]]
        assert wire.query("commit")[-1].body == b"I"


@pytest.mark.parametrize("request_kind", ["query", "batch", "function"])
def test_a_waiting_client_is_answered_and_stays(
    stage: Stage, make_pooler: MakePooler, request_kind: str
) -> None:
    request = {
        "query": messages.query("insert into t values (701)"),
        "batch": messages.extended("insert into t values (701)"),
        "function": messages.function_call(1397, [b"-1"]),
    }[request_kind]
    pooler = make_pooler(2, pools={stage.database: pool_of(1)}, query_wait_timeout="30s")
    waiting = [_login(pooler, stage) for _ in range(8)]
    with _login(pooler, stage) as holder:
        holder.query("begin; select 1")
        for wire in waiting:
            wire.send(request)
        wait_for(lambda: _waiting_count(pooler, stage) == 8, "eight clients wait")
        for wire in waiting:
            _cancel(pooler, wire.backend_key)
            assert _code(wire) == "57014"
        assert holder.query("commit")[-1].body == b"I"
        for wire in waiting:
            assert wire.rows("select count(*) from t") == [[b"3"]]
            wire.sock.close()


def _waiting_count(pooler: Pooler, stage: Stage) -> int:
    rows = pooler.admin("show pools")
    return sum(int(row["cl_waiting"]) for row in rows if row["database"] == stage.database)


def test_a_wrong_key_does_nothing(stage: Stage, make_pooler: MakePooler) -> None:
    pooler = make_pooler(2, pools={stage.database: pool_of(1)})
    with _login(pooler, stage) as wire:
        wire.send(messages.query("select pg_sleep(0.5), 'undisturbed'"))
        _wait_until_asleep(stage)
        pid, key = wire.backend_key[:4], wire.backend_key[4:]
        flipped = bytes([key[0] ^ 1]) + key[1:]
        for wrong in (flipped, key[:-1], key + b"\0", os.urandom(32), os.urandom(4)):
            _send_and_forget(pooler, pid + wrong)
        own = struct.unpack("!I", pid)[0]
        for other in (0, own - 1, own + 1, 0x7FFFFFFF, 0xFFFFFFFF):
            _send_and_forget(pooler, struct.pack("!I", other) + key)
        assert wire.read_until(b"Z")[1].values[1] == b"undisturbed"


def _send_and_forget(pooler: Pooler, key: bytes) -> None:
    """PostgreSQL, too, answers a cancel request with nothing but the end, whatever it holds."""
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.send(messages.cancel_request(key))
        assert [each for each in wire.read_to_end() if each.kind != b"E"] == []


@pytest.mark.timeout(120)
def test_a_cancel_never_hits_the_next_client(stage: Stage, make_pooler: MakePooler) -> None:
    """The query ends by itself while the cancel is on its way, and others want its server."""
    pooler = make_pooler(2, pools={stage.database: pool_of(1)})
    with _login(pooler, stage) as victim, _login(pooler, stage) as other:
        for turn in range(150):
            victim.send(messages.query(f"select pg_sleep({turn % 10 / 1000})"))
            other.send(messages.query("select 'mine' from pg_sleep(0.002)"))
            _cancel(pooler, victim.backend_key)
            victim.read_until(b"Z")
            found = other.read_until(b"Z")
            assert [each.kind for each in found] == [b"T", b"D", b"C", b"Z"], found


def test_server_keys_are_as_long_as_the_server_makes_them(
    stage: Stage, make_pooler: MakePooler
) -> None:
    """Asked for protocol 3.2, PostgreSQL 18 gives a key of 32 bytes, and 15 negotiates down."""
    with Proxy(stage.pg) as proxy:
        pool = {**pool_of(1), "server_port": proxy.port}
        pooler = make_pooler(1, pools={stage.database: pool})
        with _login(pooler, stage) as wire:
            wire.send(messages.query(_SLEEP))
            _wait_until_asleep(stage)
            _cancel(pooler, wire.backend_key)
            assert _code(wire) == "57014"
        cancels = [each for each in proxy.packets if each[4:8] == _CANCEL_CODE]
        assert [len(each) for each in cancels] == [12 + (32 if stage.pg.major >= 18 else 4)]
        assert pooler.stop() == 0
