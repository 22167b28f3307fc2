"""Channel binding: both sides against each other, and everything that must not pass.

The hand-made messages and errors are those of PostgreSQL's auth-scram.c.
"""

from __future__ import annotations

import base64

import pytest

from greenpool.auth.client_auth import AuthContext, AuthMethod, ClientAuthenticator
from greenpool.auth.scram import MECHANISM, MECHANISM_PLUS, ScramClient, ScramState
from greenpool.auth.secret import PlainPassword, build_scram_secret
from greenpool.auth.server_login import LoginState, ServerLogin
from greenpool.errors import ServerProtocolError
from greenpool.protocol import backend
from greenpool.protocol.errors import ClientError
from tests.unit.auth.scram_peer import NONCE, ScramServer

SECRET = build_scram_secret("pencil", b"salt", 3)
PENCIL = PlainPassword("pencil")
HASH, OTHER = b"h" * 32, b"o" * 48
FIRST = b"p=tls-server-end-point,,n=,r=c"


def bound_server(binding: bytes = HASH) -> ScramServer:
    return ScramServer(SECRET, binding=binding, is_bound=True)


def run(client: ScramClient, server: ScramServer) -> bool:
    answer = server.feed(client.final(server.feed(client.first())))
    if server.state is ScramState.SUCCEEDED:
        client.verify(answer)
    return server.state is ScramState.SUCCEEDED


def refusal(server: ScramServer, *messages: bytes) -> tuple[str, str, str | None]:
    *lawful, last = messages
    for message in lawful:
        server.feed(message)
    with pytest.raises(ClientError) as caught:
        server.feed(last)
    assert server.state is ScramState.FAILED
    assert server.keys is None
    fields = caught.value.fields
    return fields.sqlstate, fields.message, fields.detail


def final(header: bytes, binding: bytes = b"") -> bytes:
    told = base64.b64encode(header + binding)
    return b"c=" + told + b",r=c" + NONCE.encode() + b",p=" + base64.b64encode(bytes(32))


def test_both_sides_agree_when_they_see_the_same_certificate():
    assert run(ScramClient(PENCIL, binding=HASH, is_bound=True), bound_server())


def test_another_certificate_in_between_is_found_out():
    with pytest.raises(ClientError, match="SCRAM channel binding check failed") as caught:
        run(ScramClient(PENCIL, binding=OTHER, is_bound=True), bound_server())
    assert caught.value.sqlstate == "28000"


def test_wrong_password_fails_as_without_binding():
    assert not run(ScramClient(PlainPassword("x"), binding=HASH, is_bound=True), bound_server())


def test_client_that_was_not_offered_the_binding_is_told_of_the_downgrade():
    server = ScramServer(SECRET, binding=HASH)
    client = ScramClient(PENCIL, binding=HASH)
    assert client.first().startswith(b"y,,")
    sqlstate, message, detail = refusal(server, client.first())
    assert (sqlstate, message) == ("28000", "SCRAM channel binding negotiation error")
    assert detail is not None
    assert detail.startswith("The client supports SCRAM channel binding but thinks the server")


def test_flag_y_passes_where_there_is_nothing_to_bind_to():
    assert run(ScramClient(PENCIL, binding=HASH), ScramServer(SECRET))


@pytest.mark.parametrize("first", [b"n,,n=,r=c", b"y,,n=,r=c"])
def test_plus_without_binding_data_is_malformed(first: bytes):
    assert refusal(bound_server(), first) == (
        "08P01",
        "malformed SCRAM message",
        "The client selected SCRAM-SHA-256-PLUS, "
        "but the SCRAM message does not include channel binding data.",
    )


def test_other_types_of_binding_are_refused():
    found = refusal(bound_server(), b"p=tls-unique,,n=,r=c")
    assert found == ("08P01", 'unsupported SCRAM channel-binding type "tls-unique"', None)
    assert refusal(bound_server(), b"p=tls-server-end-point,a=me,n=,r=c")[0] == "0A000"
    assert refusal(bound_server(), b"p,,n=,r=c")[0] == "08P01"


@pytest.mark.parametrize(
    "message",
    [
        final(b"n,,"),
        final(b"y,,"),
        final(b"p=tls-server-end-point,,"),
        final(b"p=tls-server-end-point,,", HASH[:-1]),
        final(b"p=tls-server-end-point,,", OTHER),
        final(b"p=tls-unique,,", HASH),
        final(b"p=tls-server-end-point,,", HASH + b"h"),
        b"c=,r=cs,p=" + base64.b64encode(bytes(32)),
        b"c=\xff,r=cs,p=" + base64.b64encode(bytes(32)),
    ],
)
def test_anything_but_the_hash_fails_the_check(message: bytes):
    found = refusal(bound_server(), FIRST, message)
    assert found == ("28000", "SCRAM channel binding check failed", None)


def exchange(binding: bytes) -> ClientAuthenticator:
    method = AuthMethod.SCRAM_SHA_256
    return ClientAuthenticator(method, "joe", SECRET, AuthContext(b"boot"), binding=binding)


def test_plus_is_offered_first_and_only_where_it_can_be_had():
    assert exchange(HASH).start() == backend.authentication_sasl((MECHANISM_PLUS, MECHANISM))
    assert exchange(b"").start() == backend.authentication_sasl((MECHANISM,))


def login(**how: object) -> ServerLogin:
    made = ServerLogin("joe", "db", {}, PENCIL, **how)  # type: ignore[arg-type]  # two ways
    made.start()
    return made


BOTH = backend.authentication_sasl((MECHANISM_PLUS, MECHANISM))
PLUS = backend.authentication_sasl((MECHANISM_PLUS,))
ONLY = backend.authentication_sasl((MECHANISM,))


@pytest.mark.parametrize(
    ("offer", "binding", "mechanism", "header"),
    [
        (BOTH, HASH, MECHANISM_PLUS, b"p=tls-server-end-point,,"),
        (PLUS, HASH, MECHANISM_PLUS, b"p=tls-server-end-point,,"),
        (ONLY, HASH, MECHANISM, b"y,,"),
        (BOTH, b"", MECHANISM, b"n,,"),
        (ONLY, b"", MECHANISM, b"n,,"),
    ],
)
def test_login_takes_the_best_that_both_have(offer, binding, mechanism, header):
    answer = login(is_encrypted=True, binding=binding).feed(offer)
    name, _, rest = answer[5:].partition(b"\0")
    assert name.decode() == mechanism
    assert rest[4:].startswith(header)


def test_login_refuses_plus_from_a_server_without_tls():
    with pytest.raises(ServerProtocolError, match="SCRAM-SHA-256-PLUS without TLS"):
        login().feed(BOTH)


def test_login_without_a_hash_cannot_do_plus_alone():
    machine = login(is_encrypted=True)
    machine.feed(PLUS)
    assert machine.state is LoginState.FAILED
