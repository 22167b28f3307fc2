"""The client of the console, against the console itself and against what is none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from greenpool.admin import client
from greenpool.admin.client import UnknownStatement, address_of, statement
from greenpool.admin.session import serve
from greenpool.auth.client_auth import (
    AuthContext,
    AuthMethod,
    AuthState,
    ClientAuthenticator,
)
from greenpool.auth.secret import prepare_secret
from greenpool.config import Config
from greenpool.errors import ControlError, ExitCode, ServerProtocolError
from greenpool.inquiry import Answer, Refusal, inquiry
from greenpool.protocol import backend
from greenpool.protocol.body import MalformedBody
from greenpool.protocol.errors import (
    ClientError,
    Severity,
    SqlState,
    password_authentication_failed,
)
from greenpool.protocol.frame import FrameReader
from greenpool.protocol.message import BackendType, build
from greenpool.protocol.startup import StartupMessage, StartupReader
from tests.unit.admin.samples import Bench

Behaviour = Callable[[socket.socket], object]
PASSWORD = "hush-hush"


@pytest.fixture
def behave(tmp_path: Path) -> Iterator[Callable[[Behaviour], None]]:
    """Return a function that has one client served as it says, at the socket of `at`."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / ".s.PGSQL.6500"))
    listener.listen()
    threads: list[threading.Thread] = []

    def start(behaviour: Behaviour) -> None:
        def run() -> None:
            sock, _ = listener.accept()
            sock.settimeout(5)
            with sock:
                behaviour(sock)

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(5)
    listener.close()


@pytest.fixture
def at(config: Config, tmp_path: Path) -> Config:
    """Return a configuration by which the console is at a socket in `tmp_path`."""
    return replace(config, general=replace(config.general, unix_socket_dir=tmp_path))


def with_password(config: Config, password: str) -> Config:
    return replace(config, general=replace(config.general, admin_password=password))


def greet(sock: socket.socket, stored: str = PASSWORD) -> bytes:
    """Log a client in as a worker does; return bytes behind the login."""
    reader = StartupReader()
    startup = None
    while startup is None:
        startup = reader.feed(sock.recv(8192))
    assert isinstance(startup, StartupMessage)
    assert startup.database == "greenpool"
    method = AuthMethod.MD5 if stored else AuthMethod.TRUST
    secret = prepare_secret(stored, startup.user, b"s") if stored else None
    exchange = ClientAuthenticator(method, startup.user, secret, AuthContext(b"s" * 32))
    sock.sendall(exchange.start())
    try:
        while exchange.state is not AuthState.SUCCEEDED:
            sock.sendall(exchange.feed(sock.recv(8192)))
    except ClientError as exc:
        sock.sendall(exc.response())
        return b""
    sock.sendall(backend.parameter_status("server_version", "1") + backend.ready_for_query())
    return exchange.take_rest()


def console(bench: Bench, stored: str = PASSWORD) -> Behaviour:
    return lambda sock: serve(sock, bench.console, bench.speaker, greet(sock, stored))


@pytest.mark.parametrize("stored", [PASSWORD, "", "md5" + "0123456789abcdef" * 2])
def test_rows_come_with_their_columns(
    stored: str, behave: Callable[[Behaviour], None], at: Config, bench: Bench
):
    behave(console(bench, stored))
    found = client.show(with_password(at, stored), "pools")
    result = bench.execute("SHOW POOLS")
    assert found.columns == result.columns
    assert [row[:2] for row in found.rows] == [("app", "alice"), ("app", "bob"), ("logs", "alice")]
    assert found.rows[0][-8] == "transaction"
    assert found.rows[0][-7] is None


def test_unknown_name_is_the_consoles_own_error_with_its_hint(
    behave: Callable[[Behaviour], None], at: Config, bench: Bench
):
    behave(console(bench))
    with pytest.raises(UnknownStatement) as caught:
        client.show(at, "pols")
    assert str(caught.value) == (
        'unrecognized command "SHOW POLS"\n'
        "HINT:  Did you mean SHOW POOLS? SHOW HELP lists the commands."
    )
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize("what", ["pools; reload", 'pools"; reload', "pools reload", "", "--"])
def test_name_cannot_become_another_statement(what: str, bench: Bench):
    with pytest.raises(ClientError, match="unrecognized command"):
        bench.execute(statement(what))
    assert bench.commands == []


def test_name_may_be_written_in_capitals(bench: Bench):
    assert list(bench.execute(statement("VERSION")).rows)


def test_wrong_password_is_told_in_the_consoles_words(
    behave: Callable[[Behaviour], None], at: Config
):
    behave(lambda sock: greet(sock, "another"))
    with pytest.raises(Refusal, match='password authentication failed for user "admin"') as e:
        client.show(at, "pools")
    assert e.value.exit_code == ExitCode.FAILED
    assert str(e.value) == str(password_authentication_failed("admin"))


def test_fatal_error_in_an_answer_is_told(behave: Callable[[Behaviour], None], at: Config):
    def shut_down(sock: socket.socket) -> None:
        greet(sock)
        sock.recv(8192)
        gone = ClientError(Severity.FATAL, SqlState.ADMIN_SHUTDOWN, "terminating connection")
        sock.sendall(gone.response())

    behave(shut_down)
    with pytest.raises(Refusal, match="terminating connection"):
        client.show(at, "pools")


def test_connection_that_ends_early_is_an_error(behave: Callable[[Behaviour], None], at: Config):
    def leave(sock: socket.socket) -> None:
        greet(sock)
        sock.recv(8192)

    behave(leave)
    with pytest.raises(ControlError, match="closed the connection without an answer"):
        client.show(at, "pools")


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        build(BackendType.COPY_BOTH_RESPONSE),
        build(BackendType.AUTHENTICATION, b"\0"),
    ],
)
def test_stranger_at_the_address_is_an_error(
    said: bytes, behave: Callable[[Behaviour], None], at: Config
):
    def answer(sock: socket.socket) -> None:
        sock.recv(8192)
        sock.sendall(said)

    behave(answer)
    with pytest.raises(ControlError, match="does not speak PostgreSQL's protocol"):
        client.show(at, "pools")


def test_silence_is_an_error(
    behave: Callable[[Behaviour], None], at: Config, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(inquiry, "SILENCE_S", 0.05)
    behave(lambda sock: sock.recv(8192) and sock.recv(8192))
    with pytest.raises(ControlError, match=r"has said nothing for 0\.05 s"):
        client.show(at, "pools")


def test_nobody_there_is_an_error_with_the_address(at: Config, tmp_path: Path):
    with pytest.raises(ControlError) as caught:
        client.show(at, "pools")
    path = tmp_path / ".s.PGSQL.6500"
    assert str(caught.value) == f'cannot reach greenpool at "{path}": No such file or directory'


def test_scram_secret_cannot_log_in(at: Config):
    secret = "SCRAM-SHA-256$4096:" + "A" * 22 + "==$" + "B" * 43 + "=:" + "C" * 43 + "="
    with pytest.raises(ControlError, match="admin_password is a SCRAM secret"):
        client.show(with_password(at, secret), "pools")


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        (("0.0.0.0",), "127.0.0.1"),
        (("::",), "::1"),
        (("10.0.0.7", "127.0.0.1"), "10.0.0.7"),
    ],
)
def test_address_without_a_socket_is_the_first_host(
    config: Config, host: tuple[str, ...], reached: str
):
    general = replace(config.general, host=host, unix_socket_dir=None)
    assert address_of(general) == (reached, 6500)


def test_socket_comes_before_the_hosts(config: Config):
    general = replace(config.general, unix_socket_dir=Path("/run/greenpool"))
    assert address_of(general) == "/run/greenpool/.s.PGSQL.6500"


@pytest.mark.parametrize(
    "data",
    [
        backend.data_row(["x"]),  # before any columns
        backend.row_description([]) + backend.data_row(["x"]),
        build(BackendType.ROW_DESCRIPTION, b"\0\1x"),
        build(BackendType.DATA_ROW, b"\0\1\0\0\0\5x"),
        build(BackendType.COPY_IN_RESPONSE),
    ],
)
def test_unlawful_answer_is_refused(data: bytes):
    *before, last = FrameReader(BackendType).feed(data)
    answer = Answer()
    for message in before:
        answer.take(message)
    with pytest.raises((ServerProtocolError, MalformedBody)):
        answer.take(last)
