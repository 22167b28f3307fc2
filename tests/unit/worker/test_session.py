"""A client's login, in real bytes over a socketpair; the engine is a fake."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import gevent
import pytest
from gevent import socket

from greenpool.auth.scram import MECHANISM, ScramClient
from greenpool.auth.secret import Md5Hash, PlainPassword, ScramKeys, build_scram_secret
from greenpool.config import Config
from greenpool.protocol import backend, frontend
from greenpool.protocol.errors import ErrorFields, Severity, SqlState
from greenpool.protocol.message import BackendType
from greenpool.records import CancelTarget, Guest, Refusal, Result
from greenpool.worker import cancel
from greenpool.worker.session import Session
from greenpool.worker.startup_state import RESET
from tests.unit.worker.client import DEFAULTS, connected, entry_of, log_in_scram, startup
from tests.unit.worker.fakes import (
    FakedWorker,
    error_of,
    make_config,
    make_worker,
    served_fds,
)

QUERY = frontend.query("select 1")


# ---- a client of a pool ------------------------------------------------------------------------


def test_trusted_client_is_welcomed_and_served(worker: FakedWorker):
    entry = entry_of(worker, "shop", "ada")
    with connected(worker) as client:
        client.send(startup(application_name="till"))
        messages = client.read(BackendType.READY_FOR_QUERY)
        client.wait()
        parameters = dict(
            message.body.decode().split("\0")[:2]
            for message in messages
            if message.type is BackendType.PARAMETER_STATUS
        )
        assert messages[0].body == b"\0\0\0\0"
        assert parameters == {**DEFAULTS, "application_name": "till"}
        assert messages[-2].body == b"\0\0\0\1" + b"\1" * 4
        terms, fd, early = worker.engine.served[1]
        assert terms.look_sql
        assert (terms.pool, fd, early) == (entry.index, worker.engine.fds.pop(1), b"")
        os.close(fd)
        assert terms.state_hash
        assert terms.state_sql.startswith(RESET.encode() + b"; SELECT ")
        assert worker.engine.plans[1].names == ("ada", "shop", "till")
        assert worker.engine.named("forget") == []


def test_bytes_sent_ahead_reach_the_engine(worker: FakedWorker):
    entry_of(worker, "shop", "ada")
    with connected(worker) as client:
        client.send(startup() + QUERY)
        client.read(BackendType.READY_FOR_QUERY)
        client.wait()
        assert worker.engine.served[1][-1] == QUERY


def test_packets_may_be_cut_anywhere(worker: FakedWorker):
    entry_of(worker, "shop", "ada")
    with connected(worker) as client:
        for request in (frontend.gssenc_request(), frontend.ssl_request()):
            client.send(request)
            assert client.sock.recv(10) == b"N"
        for byte in startup():
            client.send(bytes([byte]))
            gevent.sleep(0)
        assert client.read(BackendType.READY_FOR_QUERY)


def test_newer_client_is_negotiated_with_and_gets_a_long_key(worker: FakedWorker):
    entry_of(worker, "shop", "ada")
    with connected(worker) as client:
        client.send(startup(version=0x3270F, **{"_pq_.wish": "1"}))
        messages = client.read(BackendType.READY_FOR_QUERY)
        kinds = [message.type for message in messages]
        assert kinds[0] is BackendType.NEGOTIATE_PROTOCOL_VERSION
        assert kinds.count(BackendType.NEGOTIATE_PROTOCOL_VERSION) == 1
        assert len(messages[-2].body) == 4 + 32


def test_negotiation_comes_once_before_a_password_is_asked_for(worker: FakedWorker):
    entry_of(worker, "shop", "bob")
    with connected(worker) as client:
        client.send(startup("bob", version=0x3270F))
        first = client.read(BackendType.NEGOTIATE_PROTOCOL_VERSION)
        assert len(first) == 1
        log_in_scram(client, "builder")
        rest = [message.type for message in client.read(BackendType.READY_FOR_QUERY)]
        assert BackendType.NEGOTIATE_PROTOCOL_VERSION not in rest


@pytest.mark.parametrize(
    ("password", "sqlstate"), [("builder", None), ("wrong", "28P01"), ("Builder", "28P01")]
)
def test_password_decides(worker: FakedWorker, password: str, sqlstate: str | None):
    entry_of(worker, "shop", "bob")
    with connected(worker) as client:
        client.send(startup("bob"))
        log_in_scram(client, password)
        if sqlstate is None:
            assert client.read(BackendType.READY_FOR_QUERY)
        else:
            text = 'password authentication failed for user "bob"'
            assert error_of(client.rest()) == ("FATAL", sqlstate, text)
            client.wait()
            assert worker.engine.named("forget") == [(1,)]
            assert not worker.engine.served


@pytest.mark.parametrize("database", ["shop", "no-such-database"])
def test_unknown_user_is_asked_like_everyone_and_fails_like_a_wrong_password(
    worker: FakedWorker, database: str
):
    with connected(worker) as client:
        client.send(startup("eve", database))
        log_in_scram(client, "x")
        text = 'password authentication failed for user "eve"'
        assert error_of(client.rest()) == ("FATAL", "28P01", text)


def test_known_user_learns_after_authentication_that_a_database_is_missing(worker: FakedWorker):
    with connected(worker) as client:
        client.send(startup("bob", "no-such-database"))
        log_in_scram(client, "builder")
        messages = client.rest()
        assert BackendType.AUTHENTICATION in [message.type for message in messages]
        assert error_of(messages) == (
            "FATAL",
            "3D000",
            'database "no-such-database" does not exist',
        )


def test_user_of_another_database_is_unknown_in_this_one(worker: FakedWorker):
    with connected(worker) as client:
        client.send(startup("bob", "till"))
        log_in_scram(client, "builder")
        assert error_of(client.rest())[1] == "28P01"


def test_md5_secret_is_asked_for_as_md5(worker: FakedWorker):
    entry = entry_of(worker, "shop", "cyd")
    assert isinstance(entry.credential, Md5Hash)
    with connected(worker) as client:
        client.send(startup("cyd"))
        (request,) = client.read(BackendType.AUTHENTICATION)
        assert request.body[:4] == b"\0\0\0\5"


def test_scram_keys_are_kept_for_logins_at_postgresql(tmp_path: Path):
    secret = build_scram_secret("pw", b"0123456789abcdef")
    config = make_config(tmp_path)
    users = dict(config.pools["shop"].users)
    worker = make_worker(_with_secret(config, secret.text()))
    assert "dan" in users
    entry = entry_of(worker, "shop", "dan")
    assert entry.is_locked
    with served_fds(worker), connected(worker) as client:
        client.send(startup("dan"))
        log_in_scram(client, "pw")
        client.read(BackendType.READY_FOR_QUERY)
    assert isinstance(entry.credential, ScramKeys)
    assert entry.credential.stored_key == secret.stored_key
    assert not entry.is_locked


def _with_secret(config: Config, secret: str) -> Config:
    shop = config.pools["shop"]
    users = {**shop.users, "dan": replace(shop.users["dan"], password=secret)}
    return replace(config, pools={**config.pools, "shop": replace(shop, users=users)})


# ---- refusals ----------------------------------------------------------------------------------


def test_full_house_refuses_clients_and_lets_the_admin_in(worker: FakedWorker):
    worker.engine.rows_free = 0
    with connected(worker) as client:
        client.send(startup())
        assert error_of(client.rest()) == ("FATAL", "53300", "sorry, too many clients already")
    with connected(worker) as client:
        client.send(startup("admin", "greenpool"))
        log_in_scram(client, "pa55")
        assert client.read(BackendType.READY_FOR_QUERY)
        client.send(frontend.terminate())


def test_reserve_is_for_the_admin_alone(worker: FakedWorker):
    worker.engine.rows_free = 0
    with connected(worker) as client:
        client.send(startup("eve", "greenpool"))
        assert error_of(client.rest())[1] == "53300"
    assert worker.engine.named("refused") == [(Refusal.LIMIT,)]


def test_replication_is_refused_in_words(worker: FakedWorker):
    with connected(worker) as client:
        client.send(startup(replication="database"))
        assert error_of(client.rest())[1] == "0A000"


def test_draining_worker_takes_nobody_new(worker: FakedWorker):
    worker.is_draining = True
    with connected(worker) as client:
        client.send(startup())
        text = "the database system is shutting down"
        assert error_of(client.rest()) == ("FATAL", "57P03", text)


def test_bad_options_end_after_authentication_as_in_postgresql(worker: FakedWorker):
    entry_of(worker, "shop", "ada")
    with connected(worker) as client:
        client.send(startup(options="xx"))
        messages = client.rest()
        assert messages[0].type is BackendType.AUTHENTICATION
        assert error_of(messages)[1] == "42601"


def test_garbage_is_refused_and_the_row_is_not_even_claimed(worker: FakedWorker):
    with connected(worker) as client:
        client.send(b"\0\0\0\5\0\0\0\0\0")
        assert error_of(client.rest())[1] == "08P01"
    assert worker.engine.named("enter") == []
    assert worker.engine.named("refused") == [(Refusal.OTHER,)]


def test_client_that_goes_away_in_the_middle_gives_its_row_back(worker: FakedWorker):
    with connected(worker) as client:
        client.send(startup("bob"))
        client.read(BackendType.AUTHENTICATION)
        client.sock.close()
        client.wait()
    assert worker.engine.named("forget") == [(1,)]


def test_slow_login_is_told_about_the_timeout(tmp_path: Path):
    config = make_config(tmp_path)
    worker = make_worker(_with_timeout(config, 300))
    with connected(worker) as client:
        client.send(startup("bob"))
        text = "canceling authentication due to timeout"
        assert error_of(client.rest()) == ("FATAL", "57014", text)
    # On a machine that stood still the time may be over before it has a row.
    assert worker.engine.named("forget") == [(1,)] * len(worker.engine.named("enter"))
    assert worker.engine.named("refused") == [(Refusal.TIMEOUT,)]


def test_silent_client_is_closed_without_a_word(tmp_path: Path):
    worker = make_worker(_with_timeout(make_config(tmp_path), 50))
    with connected(worker) as client:
        client.send(b"\0")
        assert client.rest() == []


def _with_timeout(config: Config, timeout_ms: int) -> Config:
    return replace(config, general=replace(config.general, client_login_timeout_ms=timeout_ms))


def test_pool_that_a_reload_removed_meanwhile_is_not_served(worker: FakedWorker):
    entry_of(worker, "shop", "bob")
    with connected(worker) as client:
        client.send(startup("bob"))
        scram = ScramClient(PlainPassword("builder"))
        client.read(BackendType.AUTHENTICATION)
        client.send(frontend.sasl_initial_response(MECHANISM, scram.first()))
        challenge = client.read(BackendType.AUTHENTICATION)[-1]
        worker.pools._by_index.clear()
        client.send(frontend.sasl_response(scram.final(challenge.body[4:])))
        assert error_of(client.rest())[1] == "57P01"
    assert not worker.engine.served


def test_failure_nobody_expected_is_logged_and_told(
    worker: FakedWorker, caplog: pytest.LogCaptureFixture
):
    entry_of(worker, "shop", "ada")

    def fail() -> None:
        raise RuntimeError("broken")

    worker.engine.on_login = fail
    with connected(worker) as client:
        client.send(startup())
        assert client.rest() == []
        client.wait()
    assert "broken" in caplog.text
    assert worker.engine.client_count() == 0
    assert worker.engine.named("forget") == [(1,)]


# ---- asking the pool ---------------------------------------------------------------------------


def answer(rows: dict[str, str | None], questions: list[str]):
    """Make a stand-in for the pool that answers every probe with these rows."""

    def on_serve(client: int, fd: int) -> None:
        gevent.spawn(_answer_once, os.dup(fd), rows, questions)

    return on_serve


def _answer_once(fd: int, rows: dict[str, str | None], questions: list[str]) -> None:
    with socket.socket(fileno=fd) as sock:
        data = sock.recv(65536)
        if not data.startswith(b"Q"):
            return
        questions.append(data[5:-1].decode())
        body = b"".join(backend.data_row([name, value]) for name, value in rows.items())
        sock.sendall(body + backend.command_complete("SELECT 1") + backend.ready_for_query())


def test_first_client_of_a_pool_asks_it_once_for_all(worker: FakedWorker):
    questions: list[str] = []
    rows = {"server_version_num": "150001", "server_version": "15.1", "search_path": "x"}
    worker.engine.on_serve = answer({**rows, "TimeZone": None}, questions)
    clients = [socket.socketpair() for _ in range(3)]
    sessions = [
        gevent.spawn(Session(worker, Guest(theirs.detach(), ours.family, "")).run)
        for ours, theirs in clients
    ]
    for ours, _ in clients:
        ours.sendall(startup())
    gevent.joinall(sessions, timeout=30)
    worker.engine.on_serve = None
    entry = worker.pools.find("shop", "ada")
    assert entry is not None
    assert entry.parameters == {"server_version": "15.1"}
    assert len(questions) == 1
    for ours, _ in clients:
        ours.close()


def test_client_knows_that_it_was_let_in_while_the_pool_is_asked(worker: FakedWorker):
    with connected(worker) as client:
        client.send(startup())
        assert client.read(BackendType.AUTHENTICATION)[0].body == b"\0\0\0\0"
        with gevent.Timeout(5):
            while not worker.engine.own:
                gevent.sleep(0)
        os.close(worker.engine.forget(*worker.engine.own))
        assert error_of(client.rest())[1] == "08006"


def test_setting_is_told_as_postgresql_understood_it(worker: FakedWorker):
    entry = entry_of(worker, "shop", "ada")
    entry.learn({**DEFAULTS, "DateStyle": "ISO, MDY"})
    questions: list[str] = []
    worker.engine.on_serve = answer({"DateStyle": "German, DMY"}, questions)
    with connected(worker) as client:
        client.send(startup(DateStyle="german"))
        messages = client.read(BackendType.READY_FOR_QUERY)
        statuses = [m.body for m in messages if m.type is BackendType.PARAMETER_STATUS]
        assert b"DateStyle\0German, DMY\0" in statuses
        assert "set_config(name, value, true)" in questions[0]
    worker.engine.on_serve = None
    with connected(worker) as client:  # the second one asks nobody
        client.send(startup(DateStyle="german"))
        client.read(BackendType.READY_FOR_QUERY)
    assert len(questions) == 1


def test_error_of_postgresql_ends_the_login_in_its_own_words(worker: FakedWorker):
    entry_of(worker, "shop", "ada")
    error = ErrorFields.of(Severity.ERROR, SqlState.INVALID_PARAMETER_VALUE, "bad zone")

    def on_serve(client: int, fd: int) -> None:
        os.write(fd, error.error_response() + backend.ready_for_query())

    worker.engine.on_serve = on_serve
    with connected(worker) as client:
        client.send(startup(TimeZone="Nowhere"))
        messages = client.rest()
        assert messages[0].type is BackendType.AUTHENTICATION
        assert error_of(messages) == ("FATAL", "22023", "bad zone")


def test_application_name_of_the_configuration_is_not_the_clients(worker: FakedWorker):
    entry_of(worker, "till", "ada")
    with connected(worker) as client:
        client.send(startup(database="till", application_name="mine"))
        client.read(BackendType.READY_FOR_QUERY)
        client.wait()
        terms, *_ = worker.engine.served[1]
        assert (terms.state_hash, terms.state_sql) == (0, RESET.encode())
        assert worker.engine.plans[1].names[2] == "mine"


# ---- cancel ------------------------------------------------------------------------------------


def test_cancel_request_is_carried_out_without_an_answer(
    worker: FakedWorker, monkeypatch: pytest.MonkeyPatch
):
    target = CancelTarget(0, 2, 9)
    worker.engine.cancel_answer = target
    sent: list[object] = []
    monkeypatch.setattr(cancel, "send", lambda worker, pool, row: sent.append(row))
    row = worker.segment.slots[0, 2] = SlotKey(4711, b"k" * 4)
    with connected(worker) as client:
        client.send(frontend.cancel_request(1, b"1234"))
        assert client.sock.recv(10) == b""
    assert worker.engine.named("cancel_start") == [(1, b"1234")]
    assert worker.engine.named("cancel_done") == [(target,)]
    assert sent == [row]
    assert worker.engine.named("enter") == []


def test_cancel_request_for_nobody_is_closed_alike(worker: FakedWorker):
    worker.engine.cancel_answer = Result.ENOENT
    with connected(worker) as client:
        client.send(frontend.cancel_request(1, b"1234"))
        assert client.sock.recv(10) == b""
    assert worker.engine.named("cancel_done") == []


class SlotKey:
    def __init__(self, backend_pid: int, key: bytes) -> None:
        self.backend_pid = backend_pid
        self.key = key


# ---- the admin ---------------------------------------------------------------------------------


@pytest.mark.parametrize("database", ["greenpool", "pgbouncer", "pgdoorman"])
def test_admin_gets_the_console(worker: FakedWorker, database: str):
    with connected(worker, tcp=True) as client:
        client.send(startup("admin", database))
        log_in_scram(client, "pa55")
        client.read(BackendType.READY_FOR_QUERY)
        client.send(frontend.query("SHOW VERSION"))
        kinds = [message.type for message in client.read(BackendType.READY_FOR_QUERY)]
        assert BackendType.DATA_ROW in kinds
        client.send(frontend.terminate())
        assert client.rest() == []
    assert worker.engine.named("forget") == [(1,)]
    assert not worker.engine.served


@pytest.mark.parametrize("password", ["admin", '""'])
def test_unset_admin_password_closes_the_console_to_the_network(tmp_path: Path, password: str):
    worker = make_worker(make_config(tmp_path, admin_password=password))
    with connected(worker, tcp=True) as client:
        client.send(startup("admin", "greenpool"))
        severity, sqlstate, text = error_of(client.rest())
        assert (severity, sqlstate) == ("FATAL", "28000")
        assert "closed to the network" in text


def test_unix_socket_needs_no_admin_password_while_none_is_set(tmp_path: Path):
    worker = make_worker(make_config(tmp_path, admin_password='""'))
    with connected(worker) as client:
        client.send(startup("admin", "greenpool"))
        client.read(BackendType.READY_FOR_QUERY)
        client.send(frontend.terminate())


def test_only_the_admin_gets_the_console(worker: FakedWorker):
    with connected(worker) as client:
        client.send(startup("bob", "greenpool"))
        log_in_scram(client, "builder")
        assert error_of(client.rest())[1] == "28P01"
