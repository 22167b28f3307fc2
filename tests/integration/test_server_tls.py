"""TLS towards PostgreSQL 15; the PostgreSQL 18 of the tests is built without OpenSSL."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.integration.conftest import MakePooler
from tests.integration.differential import copying, extended, simple
from tests.integration.differential.conversation import play
from tests.integration.differential.difference import differences
from tests.integration.differential.stage import Stage, address_of, playable, pool_of
from tests.integration.harness import messages
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.certificates import Issued
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.tls import House, copy_in_and_out, encrypted
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

pytestmark = pytest.mark.parametrize("_server", [15], indirect=True, ids=["pg15"])

_HOSTSSL = "hostssl all app 127.0.0.1/32 scram-sha-256\nhost all app 127.0.0.1/32 reject\n"
_HOSTNOSSL = "hostnossl all app 127.0.0.1/32 scram-sha-256\nhost all app 127.0.0.1/32 reject\n"
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@pytest.fixture
def secure(pg: PostgreSQL, house: House) -> Iterator[PostgreSQL]:
    """Return a PostgreSQL that speaks TLS, to whoever wants it."""
    with encrypted(pg, house.server):
        yield pg


def trusting(house: House, mode: str = "verify-full") -> dict[str, str]:
    return {"server_tls_mode": mode, "server_tls_ca_cert": str(house.authority.certificate)}


def spoken(pooler: Pooler) -> str:
    """Return what the server connection of a query speaks: plain, tls, or why there is none."""
    try:
        with pooler.connect() as connection:
            row = connection.execute(
                "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
            ).fetchone()
    except psycopg.OperationalError as exc:
        return str(exc)
    except psycopg.Error as exc:
        return str(exc)
    assert row is not None
    shown = {each["tls"] for each in pooler.admin("show servers") if each["user"] == "app"}
    assert shown == ({"TLSv1.3/TLS_AES_256_GCM_SHA384"} if row[0] else {""})
    return "tls" if row[0] else "plain"


@pytest.mark.parametrize(
    ("hba", "outcomes"),
    [
        ("", ("plain", "plain", "tls", "tls", "tls", "tls")),
        (_HOSTSSL, ("reject", "tls", "tls", "tls", "tls", "tls")),
        (_HOSTNOSSL, ("plain", "plain", "plain", "reject", "reject", "reject")),
    ],
    ids=["host", "hostssl", "hostnossl"],
)
def test_every_mode(
    pg: PostgreSQL, house: House, make_pooler: MakePooler, hba: str, outcomes: tuple[str, ...]
) -> None:
    with encrypted(pg, house.server, hba):
        for mode, outcome in zip(_MODES, outcomes, strict=True):
            pooler = make_pooler(1, pools={"app": {}}, **trusting(house, mode))
            assert outcome in spoken(pooler), mode
            pooler.stop()


def test_server_without_tls(pg: PostgreSQL, house: House, make_pooler: MakePooler) -> None:
    for mode in _MODES:
        settings = {**trusting(house, mode), "query_wait_timeout": "300ms"}
        pooler = make_pooler(1, pools={"app": {}}, **settings)
        wanted = "plain" if mode in _MODES[:3] else "server does not support TLS"
        assert wanted in spoken(pooler), mode
        pooler.stop()


@pytest.mark.parametrize(
    ("mode", "wrong", "words"),
    [
        ("verify-full", "", "tls"),
        ("verify-full", "host", "hostname mismatch"),
        ("verify-ca", "host", "tls"),
        ("verify-full", "address", "IP address mismatch"),
        ("verify-ca", "authority", "unable to get local issuer certificate"),
        ("require", "authority", "unable to get local issuer certificate"),
        ("prefer", "authority", "tls"),
        ("verify-ca", "expired", "certificate has expired"),
        ("verify-ca", "revoked", "certificate revoked"),
    ],
)
def test_certificate_decides(
    pg: PostgreSQL, house: House, make_pooler: MakePooler, mode: str, wrong: str, words: str
) -> None:
    own, settings, host = house.server, trusting(house, mode), pg.host
    if wrong == "host":
        own, host = house.authority.issue("x", names=["db.example"]), "localhost"
    elif wrong == "address":
        own = house.authority.issue("x", names=["localhost"], addresses=["127.0.0.2"])
    elif wrong == "authority":
        settings["server_tls_ca_cert"] = str(house.stranger.certificate)
    elif wrong == "expired":
        own = house.issue_server(valid=-timedelta(days=1))
    elif wrong == "revoked":
        settings["server_tls_ca_cert"] = str(house.authority.revoke(own))
    with encrypted(pg, own):
        pooler = make_pooler(1, pools={"app": {"server_host": host}}, **settings)
        assert words in spoken(pooler)


def test_mutual_tls(pg: PostgreSQL, house: House, make_pooler: MakePooler) -> None:
    def shown(issued: Issued) -> dict[str, str]:
        files = {"certificate": issued.certificate, "private_key": issued.key}
        return {f"server_tls_{name}": str(file) for name, file in files.items()}

    hba = "hostssl all app 127.0.0.1/32 cert\n"
    with encrypted(pg, house.server, hba, house.authority.certificate):
        good = make_pooler(
            1, pools={"app": {}}, **trusting(house), **shown(house.authority.issue("app"))
        )
        assert spoken(good) == "tls"
        other = make_pooler(
            1, pools={"app": {}}, **trusting(house), **shown(house.authority.issue("other"))
        )
        assert 'certificate authentication failed for user "app"' in spoken(other)
        none = make_pooler(1, pools={"app": {}}, **trusting(house))
        assert "requires a valid client certificate" in spoken(none)


# ---- who is in between -------------------------------------------------------------------------


@contextmanager
def in_between(pg: PostgreSQL, own: Issued, greeting: bytes = b"S") -> Iterator[int]:
    """Listen with another certificate, and pass on to PostgreSQL what is said."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                threads.append(threading.Thread(target=relay, args=(listener.accept()[0],)))
                threads[-1].start()

    def relay(sock: socket.socket) -> None:
        with suppress(OSError), sock:
            sock.settimeout(10)
            assert sock.recv(8) == messages.ssl_request()
            sock.sendall(greeting)
            with context.wrap_socket(sock, server_side=True) as client:
                server = socket.create_connection((pg.host, pg.port), 10)
                server.sendall(messages.ssl_request())
                server.recv(1)
                loose = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                loose.check_hostname, loose.verify_mode = False, ssl.CERT_NONE
                with loose.wrap_socket(server) as behind:
                    while data := client.recv(65536):
                        behind.sendall(data)
                        client.sendall(behind.recv(65536))

    accepting = threading.Thread(target=serve)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
        for thread in threads:
            thread.join()


def test_channel_binding_finds_out_who_is_in_between(
    secure: PostgreSQL, house: House, make_pooler: MakePooler
) -> None:
    with in_between(secure, house.stranger.issue("localhost")) as port:
        pool = {"server_port": port, "server_tls_mode": "require"}
        pooler = make_pooler(1, pools={"app": pool})
        assert "SCRAM channel binding check failed" in spoken(pooler)
        pooler.stop()


def test_bytes_smuggled_behind_the_answer_are_not_believed(
    secure: PostgreSQL, house: House, make_pooler: MakePooler
) -> None:
    with in_between(secure, house.server, b"S" + b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I") as port:
        pooler = make_pooler(1, pools={"app": {"server_port": port}}, **trusting(house))
        assert "TLS with server at" in spoken(pooler)
        pooler.stop()


# ---- in use ------------------------------------------------------------------------------------


def test_both_sides_encrypted(secure: PostgreSQL, house: House, make_pooler: MakePooler) -> None:
    pooler = make_pooler(2, pools={"app": {}}, **trusting(house), **house.settings(**QUIET))
    with pooler.connect(sslmode="require") as connection:
        [(text,)] = connection.execute("select repeat('xyz', 3000000)").fetchall()
        assert text == "xyz" * 3_000_000
        copy_in_and_out(connection)


def test_cancel_goes_where_the_server_is(
    secure: PostgreSQL, house: House, make_pooler: MakePooler
) -> None:
    pooler = make_pooler(2, pools={"app": {}}, **trusting(house))
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login()
        wire.send(messages.query("select pg_sleep(30)"))
        asleep = "select 1 from pg_stat_activity where wait_event = 'PgSleep'"
        wait_for(lambda: secure.sql(asleep), "the query runs")
        with Wire.connect(pooler.host, pooler.port) as other:
            other.send(messages.cancel_request(wire.backend_key))
            assert other.read_to_end() == []
        assert next(each.fields["C"] for each in wire.read_until(b"Z") if each.kind == b"E") == (
            "57014"
        )
        assert wire.rows("select 1") == [[b"1"]]


def _on_both_workers(pooler: Pooler, count: int) -> list[Wire]:
    """Open clients until both workers have some; they are packed on the first to begin with."""
    wires = []
    for _ in range(count):
        wires.append(Wire.connect(pooler.host, pooler.port))
        wires[-1].login()
    workers = {row["worker"] for row in pooler.admin("show clients") if row["user"] == "app"}
    assert workers == {0, 1}
    return wires


def _close(wires: list[Wire]) -> None:
    for wire in wires:
        wire.send(messages.terminate())
        wire.sock.close()


def test_place_goes_to_the_worker_that_wants_it(
    secure: PostgreSQL, house: House, make_pooler: MakePooler
) -> None:
    """One server for clients of two workers, who cannot share it: each in turn."""
    pools = {"app": {"users": [user(pool_size=1)]}}
    pooler = make_pooler(2, pools=pools, **trusting(house), **QUIET)
    wires = _on_both_workers(pooler, 40)
    for wire in (wires[0], wires[-1], wires[0], wires[-1]):
        assert wire.rows("select 1") == [[b"1"]]
        assert len(secure.backends("app")) == 1
    _close(wires)
    wait_for_balance(pooler, 0)


def test_busy_servers_are_yielded_too(
    secure: PostgreSQL, house: House, make_pooler: MakePooler
) -> None:
    """Everyone asks again and again; nobody waits until query_wait_timeout, the limit holds."""
    pools = {"app": {"users": [user(pool_size=3)]}}
    pooler = make_pooler(2, pools=pools, **trusting(house), **QUIET)
    wires = _on_both_workers(pooler, 40)
    end = time.monotonic() + 2
    counts = dict.fromkeys(range(len(wires)), 0)

    def ask(number: int) -> None:
        while time.monotonic() < end or not counts[number]:
            heard = wires[number].query("select pg_sleep(0.002)")
            assert [each.kind for each in heard] == [b"T", b"D", b"C", b"Z"], heard
            counts[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in counts]
    for thread in threads:
        thread.start()
    seen = 0
    while time.monotonic() < end:
        seen = max(seen, len(secure.backends("app")))
    for thread in threads:
        thread.join()
    assert 1 <= seen <= 3
    _close(wires)
    wait_for_balance(pooler, 0)


def test_worker_s_death_ends_its_servers_only(
    secure: PostgreSQL, house: House, make_pooler: MakePooler
) -> None:
    pooler = make_pooler(2, pools={"app": {"users": [user(pool_size=4)]}}, **trusting(house))
    wires = _on_both_workers(pooler, 40)
    for wire in wires:
        wire.rows("select 1")
    os.kill(pooler.worker_pids()[0], signal.SIGKILL)
    survivors = []
    for wire in wires:
        with suppress(OSError, AssertionError):
            survivors += [wire] if wire.rows("select 1") == [[b"1"]] else []
    assert 0 < len(survivors) < 40
    wait_for(lambda: len(secure.backends("app")) <= 4, "the limit holds")
    for wire in wires:
        wire.sock.close()
    with pooler.connect() as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_new_authority_renews_the_servers(
    secure: PostgreSQL, house: House, make_pooler: MakePooler
) -> None:
    pooler = make_pooler(1, pools={"app": {}}, **trusting(house, "verify-ca"))
    with pooler.connect() as connection:
        connection.execute("select 1")
        (before,) = [each.pid for each in secure.backends("app")]
        both = house.directory / "both.pem"
        both.write_bytes(
            house.stranger.certificate.read_bytes() + house.authority.certificate.read_bytes()
        )
        assert pooler.reload(server_tls_ca_cert=str(both)).returncode == 0
        wait_for(
            lambda: before not in [each.pid for each in secure.backends("app")],
            "the old server is gone",
        )
        assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("group", ["simple", "pipelines", "copy"])
def test_conversations_are_those_of_a_plain_connection(
    secure: PostgreSQL, database: str, make_pooler: MakePooler, house: House, group: str
) -> None:
    scripts = {
        "simple": simple.QUERIES + simple.TRANSACTIONS,
        "pipelines": extended.PIPELINES,
        "copy": copying.OUT + copying.IN + copying.FAILING,
    }[group]
    pool: dict[str, Any] = pool_of(1)
    pooler = make_pooler(1, pools={database: pool}, **trusting(house))
    found = []
    with Stage(secure, database) as stage:
        for script in playable(scripts, 1):
            heard = []
            for address in (stage.address, address_of(pooler, database)):
                stage.reset()
                heard.append(play(script, address))
                stage.assert_quiet()
            told = differences(heard[0], heard[1], script.texts_differ)
            found += [f"{script.name}: {each}" for each in told]
    assert not found, "\n".join(found)
