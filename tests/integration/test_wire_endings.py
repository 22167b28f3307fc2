"""Clients that vanish, in every state a session can be in.

Whatever they leave: soon nobody is in a transaction, no lock is held, the pool has not grown, and
the next client finds a clean server with nothing unread on it.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.differential.stage import Stage, address_of, pool_of
from tests.integration.harness import messages
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

pytestmark = ANY_POSTGRESQL

_LOCK = "insert into t values (500, 'never committed')"
_PREPARED = messages.parse(_LOCK) + messages.bind() + messages.execute()
_SLEEP = "select pg_sleep(600)"
_ROWS = "select repeat('x', 9999) from generate_series(1, 99999)"
_COPY = "copy t from stdin"

# What it sends, and the message after which it vanishes (b"": at once).
STATES: dict[str, tuple[bytes, bytes]] = {
    "idle": (b"", b""),
    "in a transaction": (messages.query(f"begin; {_LOCK}"), b"Z"),
    "in a failed transaction": (messages.query("begin") + messages.query("x"), b"E"),
    "with its query in flight": (messages.query(f"begin; {_LOCK}"), b""),
    "in a running query": (messages.query(f"begin; {_LOCK}; {_SLEEP}"), b""),
    "in a running batch": (_PREPARED + messages.extended(_SLEEP), b""),
    "executed, not synced": (_PREPARED + messages.flush(), b"C"),
    "executed, not flushed": (_PREPARED, b""),
    "in the error window": (messages.parse("x") + messages.flush(), b"E"),
    "with a portal suspended": (
        messages.query(f"begin; {_LOCK}")
        + messages.parse("select generate_series(1, 9)")
        + messages.bind((), "", "p")
        + messages.execute("p", 1)
        + messages.flush(),
        b"s",
    ),
    "in copy in": (messages.query(_COPY) + messages.copy_data(b"501\tx\n"), b"G"),
    "in copy in extended": (
        messages.parse(_COPY) + messages.bind() + messages.execute() + messages.flush(),
        b"G",
    ),
    "before copy in": (messages.query(_COPY), b""),
    "in copy out": (messages.query(f"copy ({_ROWS}) to stdout"), b"H"),
    "in many rows": (messages.query(_ROWS), b"T"),
    "in one large row": (messages.query("select repeat('x', 200000000)"), b"T"),
    "half a header": (messages.query(f"begin; {_LOCK}") + b"Q\0\0", b"Z"),
    "half a header at once": (b"Q\0", b""),
    "half a query": (messages.query(f"begin; {_LOCK}") + messages.query("commit")[:-4], b"Z"),
    "half a large query": (messages.query("x" * 1000000)[:-10], b""),
    "half a pipeline": (messages.query("begin") + _PREPARED * 3 + messages.sync()[:3], b""),
    "half a Bind": (messages.query("begin") + messages.bind([b"x" * 99])[:50], b"Z"),
    "half a CopyData": (messages.query(_COPY) + messages.copy_data(b"502\tx\n" * 99)[:-7], b"G"),
}


def _close(wire: Wire) -> None:
    wire.sock.close()


def _reset(wire: Wire) -> None:
    """Vanish with RST, as a killed program with unread bytes does."""
    wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.sock.close()


ENDS: dict[str, Callable[[Wire], None]] = {"close": _close, "reset": _reset}


@pytest.fixture
def stage(pg: PostgreSQL, database: str) -> Iterator[Stage]:
    with Stage(pg, database) as found:
        found.reset()
        yield found


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mode", ["transaction", "session"])
@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_left_of_a_client_that_vanished(
    stage: Stage, make_pooler: MakePooler, end: str, mode: str
) -> None:
    # For all that TCP tells, a client that closed may still read: it keeps its server for 5 s, and
    # PostgreSQL looks quiet as long as it has not begun the query. The next client waits for both.
    pooler = make_pooler(2, pools={stage.database: pool_of(2, mode)}, query_wait_timeout="15s")
    address = address_of(pooler, stage.database)
    before = stage.contents()
    for name, (sent, last) in STATES.items():
        with Wire.connect(address.host, address.port) as wire:
            wire.login("app", address.database)
            wire.send(sent)
            if last:
                wire.read_until(last)
            ENDS[end](wire)
        wait_for(stage.is_quiet, f"nothing is left of a client that vanished {name}")
        assert stage.contents() == before, name
        _see_clean_servers(pooler.host, pooler.port, stage, name)


def _see_clean_servers(host: str, port: int, stage: Stage, name: str) -> None:
    """Use both servers of the pool at once: each answers what it was asked, and only that."""
    with Wire.connect(host, port) as one, Wire.connect(host, port) as two:
        for wire in (one, two):
            wire.login("app", stage.database)
            kinds = [each.kind for each in wire.query("begin")]
            assert kinds == [b"C", b"Z"], name
        for wire in (one, two):
            assert wire.rows("select count(*), current_setting('work_mem') from t")[0][0] == b"3"
            assert wire.query("commit")[-1].body == b"I", name
    assert len(stage.pg.backends("app", stage.database)) <= 2, name


# The one cancel found nothing to cancel, and the query ran on until its server was given up, 5 s
# later: the next client had no server until then.
def test_query_that_was_slower_than_its_cancel_is_cancelled_again(
    stage: Stage, make_pooler: MakePooler
) -> None:
    pooler = make_pooler(1, pools={stage.database: pool_of(1)})
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login("app", stage.database)
        pid = int(wire.rows("select pg_backend_pid()")[0][0] or 0)
        os.kill(pid, signal.SIGSTOP)
        wire.send(messages.query(_SLEEP))
    try:
        wait_for(lambda: _is_pending(pid, signal.SIGINT), "the backend was signalled")
    finally:
        os.kill(pid, signal.SIGCONT)
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login("app", stage.database)
        assert wire.rows("select pg_backend_pid()") == [[b"%d" % pid]]


def _is_pending(pid: int, number: signal.Signals) -> bool:
    masks = re.findall(r"^(?:Sig|Shd)Pnd:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.M)
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


def test_terminate_in_copy_ends_the_copy(stage: Stage, make_pooler: MakePooler) -> None:
    pooler = make_pooler(1, pools={stage.database: pool_of(1)})
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login("app", stage.database)
        wire.query("begin")
        wire.send(messages.query(_COPY), messages.copy_data(b"503\tx\n"), messages.terminate())
        wire.read_to_end()
    stage.assert_quiet()
    _see_nothing_of_it(pooler.host, pooler.port, stage)


def _see_nothing_of_it(host: str, port: int, stage: Stage) -> None:
    with Wire.connect(host, port) as wire:
        wire.login("app", stage.database)
        assert wire.rows("select count(*) from t") == [[b"3"]]


@pytest.mark.parametrize("missing", range(1, 7))
def test_half_a_query_never_runs(stage: Stage, make_pooler: MakePooler, missing: int) -> None:
    """What greenpool says to a server at its end must not complete what a client began to say."""
    pooler = make_pooler(1, pools={stage.database: pool_of(1)})
    whole = messages.query("insert into t values (600) -- ")
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login("app", stage.database)
        wire.send(whole[:-missing])
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login("app", stage.database)
        assert wire.rows("select count(*) from t") == [[b"3"]]
    wait_for(lambda: len(stage.pg.backends("app", stage.database)) <= 1, "the broken one is gone")
    assert (600, None) not in stage.contents()
