"""Clients with TLS stay connected through upgrades: their sessions are left to a process that pumps
bytes, and whoever is new serves them as anybody else."""

from __future__ import annotations

import hashlib
import os
import signal
import threading

import psutil
import psycopg
import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness import messages
from tests.integration.harness.metrics import scrape
from tests.integration.harness.openings import everything_open, one
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.postgres import MAJORS, PostgreSQL
from tests.integration.harness.tls import House
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

# Nothing here depends on the version of PostgreSQL.
pytestmark = pytest.mark.parametrize("_server", MAJORS[-1:], indirect=True)

SELF = "select pg_backend_pid()"


def pumped(pooler: Pooler) -> list[int]:
    """Tell of each client with TLS whether its session is elsewhere."""
    return [row["pumped"] for row in pooler.admin("show clients") if row["database"] == "app"]


def upgrade(pooler: Pooler) -> None:
    """Upgrade, and see that nothing is left of the old generation but pumps."""
    done = pooler.upgrade()
    assert done.returncode == 0, done.stderr
    wait_for(lambda: not pooler.elders(), "the old generation has ended")


def sleeping(pooler: Pooler) -> int:
    """Count the queries that run."""
    return len([each for each in pooler.pg.backends("app") if each.state == "active"])


@pytest.mark.timeout(180)
@pytest.mark.parametrize("io_backend", ["epoll", "io_uring"])
def test_everything_open_stays_through_upgrades(
    make_pooler: MakePooler, pg: PostgreSQL, house: House, io_backend: str
) -> None:
    pooler = make_pooler(2, io_backend=io_backend, **house.settings())
    with everything_open(pooler, house.context()):
        before = {each.pid for each in pg.backends("app")}
        assert pumped(pooler) == [0] * 5
        for _ in range(2):
            upgrade(pooler)
            assert pumped(pooler) == [1] * 5
        assert before <= {each.pid for each in pg.backends("app")}  # it may ask one for itself
    wait_for(lambda: not pooler.pumps(), "the process has ended with its last client")


def copy_out(client: psycopg.Connection[tuple[object, ...]], rows: int, said: list[str]) -> None:
    """Read a long COPY, and say what has come."""
    digest = hashlib.md5()
    query = f"copy (select repeat(n::text, 200) from generate_series(1, {rows}) n) to stdout"
    with client.cursor().copy(query) as copy:
        for part in copy:
            digest.update(part)
    said.append(digest.hexdigest())


def test_long_copy_goes_on_in_both_directions(make_pooler: MakePooler, house: House) -> None:
    pooler = make_pooler(2, **house.settings())
    rows = 100_000
    with (
        pooler.connect(sslmode="require") as reader,
        pooler.connect(sslmode="require", autocommit=False) as writer,
    ):
        expected: list[str] = []
        copy_out(reader, rows, expected)
        said: list[str] = []
        writer.execute("create temp table copied (n int, t text) on commit drop")
        with writer.cursor().copy("copy copied from stdin") as copy:
            copy.write_row((0, "first"))
            reading = threading.Thread(target=copy_out, args=(reader, rows, said))
            reading.start()
            done = pooler.upgrade()
            for n in range(1, 20_000):
                copy.write_row((n, "y" * 200))
            assert done.returncode == 0, done.stderr
            upgrade(pooler)
        reading.join(30)
        assert said == expected
        assert one(writer, "select count(distinct n) from copied") == 20_000
        writer.rollback()
        assert pumped(pooler) == [1, 1]


def test_ends_and_cancels_reach_the_other_side(make_pooler: MakePooler, house: House) -> None:
    """Whoever ends it: the client hears the last and then the end, PostgreSQL loses nobody."""
    pooler = make_pooler(1, web=True, **house.settings())
    context = house.context()
    with (
        Wire.connect(pooler.host, pooler.port, context) as vanishing,
        Wire.connect(pooler.host, pooler.port, context) as stays,
    ):
        vanishing.login()
        vanishing.send(messages.query("begin; select pg_sleep(60)"))
        stays.login()
        upgrade(pooler)
        wait_for(lambda: len(pooler.pumps()) == 1, "the session has a process of its own")
        [pump] = pooler.pumps()
        files = "greenpool_process_open_fds"
        wait_for(
            lambda: scrape(pooler).values(files, process="pump", worker=str(pump.pid)),
            "a scrape tells of it",
        )
        stays.send(messages.query("select pg_sleep(60)"))
        wait_for(lambda: sleeping(pooler) == 2, "both sleep")
        with Wire.connect(pooler.host, pooler.port) as cancel:
            cancel.send(messages.cancel_request(stays.backend_key))
        assert stays.read_until(b"Z")[-2].fields["C"] == "57014"
        stays.send(messages.query("select 'last'"), messages.terminate())
        assert b"last" in stays.read_until(b"Z")[1].body
        assert stays.read_to_end() == []
        vanishing.sock.close()
        wait_for(lambda: not pumped(pooler), "its client has gone")
        wait_for(lambda: sleeping(pooler) == 0, "its query is cancelled")


def test_stop_tells_clients_whose_session_stayed(make_pooler: MakePooler, house: House) -> None:
    pooler = make_pooler(1, **house.settings())
    with (
        Wire.connect(pooler.host, pooler.port, house.context()) as idle,
        pooler.connect(autocommit=False, sslmode="require") as busy,
    ):
        idle.login()
        own = one(busy, SELF)
        upgrade(pooler)
        os.kill(pooler.master_pid, signal.SIGTERM)
        assert idle.read_until(b"E")[-1].fields["C"] == "57P01"
        assert idle.read_to_end() == []
        assert one(busy, SELF) == own
        busy.commit()
        assert pooler.stop() == 0


def test_killed_process_of_sessions_ends_its_own_clients_alone(
    make_pooler: MakePooler, house: House
) -> None:
    pooler = make_pooler(1, **house.settings())
    with pooler.connect(sslmode="require") as first, pooler.connect(sslmode="disable") as plain:
        upgrade(pooler)
        with pooler.connect(sslmode="require") as second:
            upgrade(pooler)
            wait_for(lambda: len(pooler.pumps()) == 2, "each generation has left one")
            older = min(pooler.pumps(), key=psutil.Process.create_time)
            older.kill()
            with pytest.raises(psycopg.OperationalError):
                first.execute(SELF)
            assert one(second, SELF) == one(plain, SELF)
            assert pumped(pooler) == [0, 1] or pumped(pooler) == [1, 0]
