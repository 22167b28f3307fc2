"""Our login at a real PostgreSQL: every method, passthrough, both protocol versions, refusals."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import pytest

from greenpool.auth.client_auth import AuthContext, AuthMethod, AuthState, ClientAuthenticator
from greenpool.auth.md5 import md5_hash
from greenpool.auth.scram import MECHANISM, ScramClient
from greenpool.auth.secret import (
    Credential,
    PlainPassword,
    PlainSecret,
    ScramKeys,
    build_scram_secret,
    parse_scram_secret,
    prepare_secret,
)
from greenpool.auth.server_login import LoginState, ServerLogin
from greenpool.protocol import frontend
from greenpool.protocol.body import Body
from greenpool.protocol.frame import FrameReader
from greenpool.protocol.message import BackendType
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for

TIMEOUT_S = 10
PASSWORD = "secret"  # of every role of the harness
PLAIN = PlainPassword(PASSWORD)


class Server:
    """A socket to PostgreSQL with which a login machine speaks; use it as a context manager."""

    def __init__(
        self,
        pg: PostgreSQL,
        user: str,
        credential: Credential | None = PLAIN,
        database: str = "app",
        parameters: Mapping[str, str] | None = None,
        version: int = frontend.PROTOCOL_3_0,
    ) -> None:
        self.login = ServerLogin(user, database, parameters or {}, credential, version=version)
        self.socket = socket.create_connection((pg.host, pg.port), TIMEOUT_S)
        self.socket.sendall(self.login.start())
        while self.login.state not in (LoginState.READY, LoginState.FAILED):
            data = self.socket.recv(65536)
            assert data, "PostgreSQL closed the connection"
            self.socket.sendall(self.login.feed(data))

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    def query(self, sql: str) -> list[str]:
        """Run one query of one column, return its values."""
        self.socket.sendall(frontend.query(sql))
        reader = FrameReader(BackendType, 1 << 20)
        values: list[str] = []
        while True:
            for message in reader.feed(self.socket.recv(65536)):
                if message.type is BackendType.READY_FOR_QUERY:
                    return values
                if message.type is BackendType.DATA_ROW:
                    body = Body(message.body)
                    assert body.u16() == 1
                    values.append(body.take(body.i32()).decode())


@pytest.mark.parametrize("user", ["app_trust", "app_password", "app_md5", "app"])
def test_login_with_a_password(pg, user):
    with Server(pg, user, parameters={"application_name": "greenpool"}) as server:
        greeting = server.login.greeting
        assert greeting is not None
        assert greeting.parameters["application_name"] == "greenpool"
        assert greeting.parameters["server_version"].startswith(str(pg.major))
        assert server.login.take_rest() == b""
        assert server.query("select current_user") == [user]
        assert server.query("select pg_backend_pid()") == [str(greeting.backend_pid)]


def test_login_without_a_password(pg):
    with Server(pg, "app_trust", None) as server:
        assert server.query("select current_user") == ["app_trust"]
    with Server(pg, "app", None) as server:
        assert server.login.error is not None
        assert "SCRAM-SHA-256" in server.login.error.message


def test_login_with_an_md5_hash(pg):
    with Server(pg, "app_md5", md5_hash("app_md5", PASSWORD)) as server:
        assert server.query("select 1") == ["1"]


def stored_secret(pg, user):
    [(text,)] = pg.sql("select rolpassword from pg_authid where rolname = %s", [user])
    return text


def keys_of_a_client(secret_text):
    """Log a client in at greenpool, return the keys that its proof gave away."""
    secret = parse_scram_secret(secret_text)
    auth = ClientAuthenticator(AuthMethod.SCRAM_SHA_256, "app", secret, AuthContext(b"boot"))
    auth.start()
    client = ScramClient(PLAIN)
    challenge = auth.feed(frontend.sasl_initial_response(MECHANISM, client.first()))
    auth.feed(frontend.sasl_response(client.final(challenge[9:])))
    assert auth.state is AuthState.SUCCEEDED
    return auth.credential


def test_login_with_the_keys_of_a_client_s_proof(pg):
    keys = keys_of_a_client(stored_secret(pg, "app"))
    assert isinstance(keys, ScramKeys)
    with Server(pg, "app", keys) as server:
        assert server.query("select current_user") == ["app"]


def test_stored_secrets_are_those_of_postgresql(pg):
    text = stored_secret(pg, "app")
    secret = parse_scram_secret(text)
    assert build_scram_secret(PASSWORD, secret.salt, secret.iterations).text() == text
    assert md5_hash("app_md5", PASSWORD).text == stored_secret(pg, "app_md5")


@pytest.mark.parametrize("password", ["\u2168\u00ad", "a\u00a0b", "é\a", "\u0627\u0031", "x" * 900])
def test_login_with_passwords_that_need_preparation(pg, password):
    # PostgreSQL made the secret: the keys fit only if both prepare the password alike
    pg.sql("drop role if exists odd")
    literal = password.replace("'", "''")
    pg.sql(f"set password_encryption = 'scram-sha-256'; create role odd login password '{literal}'")
    with Server(pg, "odd", PlainPassword(password)) as server:
        assert server.query("select current_user") == ["odd"]
    pg.sql("drop role odd")


def test_our_secret_is_accepted_by_postgresql(pg):
    secret = prepare_secret("pencil", "ours", b"boot")
    assert isinstance(secret, PlainSecret)
    pg.sql("drop role if exists ours")
    pg.sql(f"create role ours login password '{secret.scram.text()}'")
    with Server(pg, "ours", PlainPassword("pencil")) as server:
        assert server.query("select current_user") == ["ours"]
    pg.sql("drop role ours")


@pytest.mark.parametrize("user", ["app", "app_md5", "app_password", "nobody_at_all"])
def test_refused_login_keeps_the_words_of_postgresql(pg, user):
    with Server(pg, user, PlainPassword("wrong")) as server:
        error = server.login.error
        assert error is not None
        assert (error.severity, error.sqlstate) == ("FATAL", "28P01")
        assert error.message == f'password authentication failed for user "{user}"'


def test_refused_database_keeps_the_words_of_postgresql(pg):
    with Server(pg, "app_trust", None, database="nowhere") as server:
        error = server.login.error
        assert error is not None
        assert (error.sqlstate, error.message) == ("3D000", 'database "nowhere" does not exist')


def test_protocol_3_2_is_spoken_or_negotiated_down(pg):
    with Server(pg, "app", version=frontend.PROTOCOL_3_2) as server:
        greeting = server.login.greeting
        assert greeting is not None
        if pg.major >= 18:
            assert greeting.version == frontend.PROTOCOL_3_2
            assert len(greeting.cancel_key) > 4
        else:
            assert greeting.version == frontend.PROTOCOL_3_0
            assert len(greeting.cancel_key) == 4
        assert server.query("select 1") == ["1"]


@pytest.mark.parametrize("version", [frontend.PROTOCOL_3_0, frontend.PROTOCOL_3_2])
def test_cancel_key_of_the_greeting_works(pg, version):
    with Server(pg, "app", version=version) as server:
        greeting = server.login.greeting
        assert greeting is not None
        server.socket.sendall(frontend.query("select pg_sleep(30)"))
        # PostgreSQL ignores a cancel request that arrives before the query has begun
        wait_for(
            lambda: [each.state for each in pg.backends(user="app")] == ["active"], "the query runs"
        )
        with socket.create_connection((pg.host, pg.port), TIMEOUT_S) as other:
            other.sendall(frontend.cancel_request(greeting.backend_pid, greeting.cancel_key))
            assert other.recv(1) == b""
        reader, kinds = FrameReader(BackendType), []
        while BackendType.READY_FOR_QUERY not in kinds:
            kinds += [message.type for message in reader.feed(server.socket.recv(65536))]
        assert BackendType.ERROR_RESPONSE in kinds
