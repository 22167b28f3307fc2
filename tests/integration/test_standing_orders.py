"""What the administrator has said stands, whatever happens to the processes that heard it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness import messages
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

pytestmark = ANY_POSTGRESQL

SELF = "select pg_backend_pid()"
DATABASES = ("paused", "killed", "disabled", "stale")


def reload(pooler: Pooler, _stays: Wire) -> None:
    assert pooler.reload().returncode == 0


def respawn(pooler: Pooler, stays: Wire) -> None:
    """Kill the worker that does not serve that client."""
    clients = pooler.admin("show clients")
    (own,) = [row["worker"] for row in clients if row["id"] == number_of(stays)]
    (victim,) = [row["pid"] for row in workers(pooler) if row["worker"] != own]
    os.kill(victim, signal.SIGKILL)

    def has_a_successor() -> bool:
        try:
            pids = {row["pid"] for row in workers(pooler)}
        except psycopg.OperationalError:  # accepted by the one that was killed
            return False
        return len(pids) == 2 and victim not in pids

    wait_for(has_a_successor, "it has a successor")


def upgrade(pooler: Pooler, _stays: Wire) -> None:
    done = pooler.upgrade()
    assert done.returncode == 0, done.stderr
    wait_for(lambda: not pooler.elders(), "the generation before has ended")


Happening = Callable[[Pooler, Wire], None]
# What SET has said stands until the configuration is read again.
LOG_LEVELS: dict[Happening, str] = {reload: "info", respawn: "debug", upgrade: "info"}
happens = pytest.mark.parametrize("happen", LOG_LEVELS, ids=lambda each: each.__name__)


@happens
def test_commands_stand(make_pooler: MakePooler, happen: Happening) -> None:
    pools: dict[str, Any] = {name: {"server_database": "app"} for name in DATABASES}
    pooler = make_pooler(2, pools=pools)
    for name in DATABASES:
        with login(pooler, name) as wire:
            assert wire.rows("select 1") == [[b"1"]]
    with login(pooler, "stale") as holder:
        holder.query("begin")
        old = holder.rows(SELF)
        for said in ("pause paused", "kill killed", "disable disabled", "reconnect stale"):
            pooler.admin(said)
        pooler.admin("set log_level = debug")

        happen(pooler, holder)

        assert setting(pooler, "log_level") == LOG_LEVELS[happen]
        with pytest.raises(psycopg.OperationalError, match="does not allow connections: disabled"):
            pooler.connect(database="disabled")
        with login(pooler, "paused") as paused, login(pooler, "killed") as killed:
            for each in (paused, killed):
                each.send(messages.query("select 2"))
            assert paused.is_silent(0.5)
            assert killed.is_silent()
            for each, said in ((paused, "resume paused"), (killed, "resume killed")):
                pooler.admin(said)
                assert rows_of(each) == [[b"2"]]
        pooler.admin("enable disabled")
        pooler.connect(database="disabled").close()
        with ThreadPoolExecutor(1) as console:
            closed = console.submit(pooler.admin, "wait_close stale")
            wait_for(lambda: "the admin says wait_close" in pooler.log(), "it is said")
            assert not closed.done()
            assert holder.rows(SELF) == old
            holder.query("commit")
            assert closed.result() == []
        assert holder.rows(SELF) != old


@happens
def test_suspension_stands(make_pooler: MakePooler, happen: Happening) -> None:
    """What a client asks meanwhile is neither read nor lost."""
    pooler = make_pooler(2)
    with login(pooler, "app") as stays:
        stays.query("begin")
        own = stays.rows(SELF)
        pooler.admin("suspend")
        stays.send(messages.query(SELF))

        happen(pooler, stays)

        with login(pooler, "app") as comes:
            comes.send(messages.query("select 3"))
            assert stays.is_silent(0.5)
            assert comes.is_silent()
            state = {row["key"]: row["value"] for row in pooler.admin("show state")}
            assert state["suspended"] == "yes"
            pooler.admin("resume")
            assert rows_of(stays) == own
            assert rows_of(comes) == [[b"3"]]
        assert stays.query("commit")[-1].body == b"I"


def login(pooler: Pooler, database: str) -> Wire:
    wire = Wire.connect(pooler.host, pooler.port)
    wire.login(database=database)
    return wire


def rows_of(wire: Wire) -> list[list[bytes | None]]:
    """Return the rows of the answer that comes, which is no error."""
    found = wire.read_until(b"Z")
    assert not [each.fields for each in found if each.kind == b"E"]
    return [each.values for each in found if each.kind == b"D"]


def number_of(wire: Wire) -> int:
    """Return the client's id in SHOW CLIENTS."""
    return int.from_bytes(wire.backend_key[:4], "big")


def workers(pooler: Pooler) -> list[dict[str, Any]]:
    return [row for row in pooler.admin("show workers") if row["state"] == "alive"]


def setting(pooler: Pooler, name: str) -> str:
    (value,) = [row["value"] for row in pooler.admin("show config") if row["key"] == name]
    return str(value)
