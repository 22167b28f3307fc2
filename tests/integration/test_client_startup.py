"""What greenpool answers to the first packets of a client, beside what PostgreSQL answers.

The same bytes go to PostgreSQL and to our machines; the answers must be equal.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import pg8000.dbapi
import psycopg
import psycopg2
import pytest

from greenpool.auth.client_auth import AuthContext, AuthMethod, AuthState, ClientAuthenticator
from greenpool.auth.md5 import md5_hash
from greenpool.auth.secret import Secret, build_scram_secret, prepare_secret
from greenpool.errors import ReportedError
from greenpool.protocol import frontend
from greenpool.protocol.errors import ErrorFields, database_does_not_exist, error_response
from greenpool.protocol.startup import EncryptionRequest, StartupMessage, StartupReader

TIMEOUT_S = 10


def packet(code, body=b""):
    return struct.pack("!II", 8 + len(body), code) + body


def answer_of_postgresql(pg, data):
    """Send bytes to PostgreSQL, return all that it says until it closes."""
    with socket.create_connection((pg.host, pg.port), TIMEOUT_S) as connection:
        connection.sendall(data)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def our_refusal(data):
    with pytest.raises(ReportedError) as caught:
        StartupReader().feed(data)
    return error_response(caught.value)


def without_place(answer):
    """Drop file, line and routine, which only PostgreSQL has."""
    assert answer[:1] == b"E"
    return [field for field in ErrorFields.parse(answer[5:]).fields if field[0] not in "FLR"]


USER = {"user": "app_trust", "database": "app"}


@pytest.mark.parametrize(
    "data",
    [
        packet(4 << 16),
        packet((1234 << 16) | 9),
        packet(frontend.PROTOCOL_3_0),
        packet(frontend.PROTOCOL_3_0, b"user\0app_trust\0"),
        packet(frontend.PROTOCOL_3_0, b"user\0app_trust\0\0x"),
        frontend.startup_message({}),
        frontend.startup_message({"user": ""}),
        frontend.startup_message({**USER, "replication": "perhaps"}),
    ],
)
def test_refused_startup_packet_is_answered_as_postgresql_answers(pg, data):
    theirs = without_place(answer_of_postgresql(pg, data))
    ours = without_place(our_refusal(data))
    if pg.major < 18:  # which speaks 3.0 as its newest version
        theirs = [(code, text.replace("3.0 to 3.0", "3.0 to 3.2")) for code, text in theirs]
    assert ours == theirs


def test_protocol_2_is_refused_byte_for_byte_like_postgresql(pg):
    data = packet(2 << 16, bytes(288))
    theirs = answer_of_postgresql(pg, data).replace(b"3.0 to 3.0", b"3.0 to 3.2")
    assert our_refusal(data) == theirs


def test_bytes_behind_an_encryption_request_are_refused_like_postgresql(pg):
    data = frontend.ssl_request() + frontend.startup_message(USER)
    theirs = answer_of_postgresql(pg, data)
    assert theirs[:1] == EncryptionRequest.REFUSAL
    assert without_place(our_refusal(data)) == without_place(theirs[1:])


@pytest.mark.parametrize("line", ["-c geqo", "--geqo", "-c", "geqo=on"])
def test_bad_options_are_refused_in_postgresql_s_words(pg, line):
    data = frontend.startup_message({**USER, "options": line})
    answer = answer_of_postgresql(pg, data)
    theirs = ErrorFields.parse(answer[answer.index(b"SFATAL\0") :])
    event = StartupReader().feed(data)
    assert isinstance(event, StartupMessage)
    with pytest.raises(ReportedError) as caught:
        event.settings()
    assert (caught.value.sqlstate, str(caught.value)) == (theirs.sqlstate, theirs.message)


def test_good_options_mean_what_they_mean_to_postgresql(pg):
    line = r"-c search_path=a,\ b --work-mem=1MB -c application_name=x\\y -fs -e"
    event = StartupReader().feed(frontend.startup_message({**USER, "options": line}))
    assert isinstance(event, StartupMessage)
    with psycopg.connect(pg.dsn("app_trust", "app"), options=line) as connection:
        for name, value in event.settings().items():
            [[shown]] = connection.execute("select current_setting(%s)", [name]).fetchall()
            assert shown == {"enable_seqscan": "off", "datestyle": "ISO, DMY"}.get(name, value)


@contextmanager
def listening(secret: Secret | None) -> Iterator[int]:
    """Listen for one client, log it in, run no query of its: yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_serve, args=(listener, secret))
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(TIMEOUT_S)
        listener.close()


def _serve(listener: socket.socket, secret: Secret | None) -> None:
    listener.settimeout(TIMEOUT_S)
    connection, _ = listener.accept()
    connection.settimeout(TIMEOUT_S)
    with connection:
        try:
            connection.sendall(_log_in(connection, secret))
        except ReportedError as exc:
            connection.sendall(error_response(exc))
        while connection.recv(65536):
            pass


def _log_in(connection: socket.socket, secret: Secret | None) -> bytes:
    startup, event = StartupReader(), None
    while not isinstance(event, StartupMessage):
        event = startup.feed(connection.recv(65536))
        if isinstance(event, EncryptionRequest):
            connection.sendall(event.REFUSAL)
    auth = ClientAuthenticator(AuthMethod.MD5, event.user, secret, AuthContext(b"boot"))
    connection.sendall(event.negotiation() + auth.start())
    while auth.state is not AuthState.SUCCEEDED:
        connection.sendall(auth.feed(connection.recv(65536)))
    # the drivers ask questions once they are in; this refusal shows that they were let in
    raise database_does_not_exist(event.database)


async def _asyncpg(port, password):
    try:
        await asyncpg.connect(f"postgresql://joe:{password}@127.0.0.1:{port}/db")
    except asyncpg.PostgresError as exc:
        return exc.sqlstate


def _run_asyncpg(port, password):
    return asyncio.run(_asyncpg(port, password))


def _run_psycopg(port, password):
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(f"postgresql://joe:{password}@127.0.0.1:{port}/db")
    return _sqlstate_of(str(caught.value))


def _run_psycopg2(port, password):
    with pytest.raises(psycopg2.OperationalError) as caught:
        psycopg2.connect(f"postgresql://joe:{password}@127.0.0.1:{port}/db")
    return _sqlstate_of(str(caught.value))


def _run_pg8000(port, password):
    with pytest.raises(pg8000.dbapi.DatabaseError) as caught:
        pg8000.dbapi.connect("joe", "127.0.0.1", "db", port, password)
    return caught.value.args[0]["C"]


def _sqlstate_of(text):
    """Tell by its words what libpq reported: it keeps no SQLSTATE of a failed connection."""
    words = {"does not exist": "3D000", "password authentication failed": "28P01"}
    [sqlstate] = [words[each] for each in words if each in text]
    return sqlstate


DRIVERS = [_run_psycopg, _run_psycopg2, _run_pg8000, _run_asyncpg]
SECRETS = [
    prepare_secret("pencil", "joe", b"boot"),
    build_scram_secret("pencil", b"0123456789abcdef"),
    md5_hash("joe", "pencil"),
]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: type(secret).__name__)
@pytest.mark.parametrize("driver", DRIVERS)
def test_drivers_log_in_here(driver, secret):
    with listening(secret) as port:
        assert driver(port, "pencil") == "3D000"
    with listening(secret) as port:
        assert driver(port, "wrong") == "28P01"


@pytest.mark.parametrize("driver", DRIVERS)
def test_drivers_are_refused_as_unknown_users(driver):
    with listening(None) as port:
        assert driver(port, "pencil") == "28P01"
