from __future__ import annotations

import base64

import pytest

from greenpool.auth.scram import MAX_ITERATIONS, ScramClient, ScramState, make_nonce
from greenpool.auth.secret import (
    PlainPassword,
    ScramKeys,
    build_scram_secret,
    derive_keys,
    mock_secret,
)
from greenpool.errors import ServerProtocolError
from greenpool.login import RANDOM_BYTES
from greenpool.protocol.errors import ClientError
from tests.unit.auth.scram_peer import NONCE, ScramServer

# RFC 7677, section 3
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
CLIENT_NONCE = "rOprNGfwEbeRWgbNEkqO"
CLIENT_FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = (
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
)
CLIENT_FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

PENCIL = build_scram_secret("pencil", SALT)


OUR_FIRST = f"r={CLIENT_NONCE}{NONCE},s={base64.b64encode(SALT).decode()},i=4096".encode()
"""What our server answers to CLIENT_FIRST; with the RFC's own nonce, test_scram.c has it."""


def our_final():
    client = rfc_client()
    return client.final(OUR_FIRST)


def our_server(*, doomed=False):
    return ScramServer(PENCIL, doomed=doomed)


def rfc_client(credential=None):
    credential = credential or PlainPassword("pencil")
    return ScramClient(credential, lambda: CLIENT_NONCE, username="user")


def refused_by_server(*messages):
    server = our_server()
    *lawful, last = messages
    for message in lawful:
        server.feed(message)
    with pytest.raises(ClientError) as caught:
        server.feed(last)
    assert server.state is ScramState.FAILED
    assert server.keys is None
    fields = caught.value.fields
    return fields.sqlstate, fields.message, fields.detail


def test_client_follows_the_rfc():
    client = rfc_client()
    assert client.first() == CLIENT_FIRST
    assert client.final(SERVER_FIRST) == CLIENT_FINAL
    client.verify(SERVER_FINAL)
    assert client.state is ScramState.SUCCEEDED


def test_server_recovers_keys_that_log_in_elsewhere_without_a_password():
    server = our_server()
    server.feed(CLIENT_FIRST)
    server.feed(our_final())
    assert server.keys == derive_keys("pencil", SALT, 4096)
    client = rfc_client(server.keys)
    assert client.final(SERVER_FIRST) == CLIENT_FINAL
    client.verify(SERVER_FINAL)


def test_client_with_keys_never_derives():
    def derive(password: str, salt: bytes, iterations: int) -> ScramKeys:
        raise AssertionError("derived")

    client = ScramClient(derive_keys("pencil", SALT, 4096), lambda: CLIENT_NONCE, derive, "user")
    assert client.final(SERVER_FIRST) == CLIENT_FINAL


def run(credential, server):
    """Run an exchange between our two sides, return whether the server was convinced."""
    client = ScramClient(credential)
    challenge = server.feed(client.first())
    answer = server.feed(client.final(challenge))
    if server.state is ScramState.SUCCEEDED:
        client.verify(answer)
        return True
    assert (server.state, answer) == (ScramState.FAILED, b"")
    return False


@pytest.mark.parametrize("password", ["pencil", "\u2168", "é\a", "x" * 500])
def test_both_sides_agree_on_any_password(password):
    secret = build_scram_secret(password, b"salt", 7)
    assert run(PlainPassword(password), ScramServer(secret))
    assert not run(PlainPassword(password + "!"), ScramServer(secret))
    assert not run(derive_keys(password, b"other", 7), ScramServer(secret))


def test_server_that_is_doomed_refuses_the_right_proof():
    server = our_server(doomed=True)
    assert server.feed(CLIENT_FIRST) == OUR_FIRST
    assert server.feed(our_final()) == b""
    assert server.state is ScramState.FAILED
    assert server.keys is None


def test_mock_secret_asks_like_any_other_and_fits_nothing():
    answers = [
        ScramServer(mock_secret("joe", b"boot"), doomed=True).feed(CLIENT_FIRST) for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert len(answers[0]) == len(OUR_FIRST)
    assert not run(PlainPassword("pencil"), ScramServer(mock_secret("joe", b"boot")))


def test_server_refuses_a_replayed_proof():
    # the same client messages against another exchange: the nonce differs
    server = ScramServer(PENCIL, random=bytes([1]) * RANDOM_BYTES)
    server.feed(CLIENT_FIRST)
    with pytest.raises(ClientError, match="invalid SCRAM response") as caught:
        server.feed(our_final())
    assert caught.value.fields.detail == "Nonce does not match."
    assert server.keys is None


def test_server_accepts_flag_y_and_extensions():
    secret = build_scram_secret("pencil", SALT, 1)
    server = ScramServer(secret)
    server.feed(b"y,,n=,r=c,x=later")
    with pytest.raises(ClientError, match="channel-binding attribute"):
        server.feed(b"c=biws,r=c" + NONCE.encode() + b",p=" + base64.b64encode(bytes(32)))
    server = ScramServer(secret)
    server.feed(b"y,,n=,r=c")
    assert (
        server.feed(b"c=eSws,r=c" + NONCE.encode() + b",x=1,p=" + base64.b64encode(bytes(32)))
        == b""
    )
    assert server.state is ScramState.FAILED


MALFORMED = "malformed SCRAM message"


@pytest.mark.parametrize(
    ("message", "detail"),
    [
        (b"", "The message is empty."),
        (b"n,,n=,r=x\0", "Message length does not match input length."),
        (
            b"p=tls-server-end-point,,n=,r=x",
            "The client selected SCRAM-SHA-256 without channel binding, "
            "but the SCRAM message includes channel binding data.",
        ),
        (b"z,,n=,r=x", "Unexpected channel-binding flag \"'z'\"."),
        (b"\x01,,n=,r=x", 'Unexpected channel-binding flag "0x01".'),
        (b"n", 'Comma expected, but found character "0x00".'),
        (b"nn,n=,r=x", "Comma expected, but found character \"'n'\"."),
        (b"n,b=x,n=,r=x", "Unexpected attribute \"'b'\" in client-first-message."),
        (b"n,,r=x", 'Expected attribute "n" but found "\'r\'".'),
        (b"n,,n=", 'Expected attribute "r" but found "0x00".'),
        (b"n,,n", 'Expected character "=" for attribute "n".'),
        (b"n,,n=,r=x,1=2", "Attribute expected, but found invalid character \"'1'\"."),
        (b"n,,n=,r=x,\xff=2", 'Attribute expected, but found invalid character "0xff".'),
    ],
)
def test_server_refuses_a_malformed_first_message(message, detail):
    assert refused_by_server(message) == ("08P01", MALFORMED, detail)


@pytest.mark.parametrize(
    ("message", "sqlstate", "text"),
    [
        (b"n,a=me,n=,r=x", "0A000", "client uses authorization identity, but it is not supported"),
        (b"n,,m=x,n=,r=x", "0A000", "client requires an unsupported SCRAM extension"),
        (b"n,,n=,r=x y", "08P01", "non-printable characters in SCRAM nonce"),
    ],
)
def test_server_refuses_what_it_does_not_support(message, sqlstate, text):
    assert refused_by_server(message) == (sqlstate, text, None)


PROOF = our_final().partition(b",p=")[2]


@pytest.mark.parametrize(
    ("old", "new", "text", "detail"),
    [
        (
            b"c=biws",
            b"c=eSws",
            "unexpected SCRAM channel-binding attribute in client-final-message",
            None,
        ),
        (b"c=biws,", b"", MALFORMED, 'Expected attribute "c" but found "\'r\'".'),
        (b"AA,", b"AB,", "invalid SCRAM response", "Nonce does not match."),
        (b"AA,", b"A\xff,", "invalid SCRAM response", "Nonce does not match."),
        (b"AA,", b"AAA,", "invalid SCRAM response", "Nonce does not match."),
        (b"p=" + PROOF, b"p=" + PROOF[1:], MALFORMED, "Malformed proof in client-final-message."),
        (b"p=" + PROOF, b"p=*" + PROOF[1:], MALFORMED, "Malformed proof in client-final-message."),
        (
            b"p=" + PROOF,
            b"p=" + PROOF[:4] + PROOF,
            MALFORMED,
            "Malformed proof in client-final-message.",
        ),
        (PROOF, PROOF + b",x=1", MALFORMED, "Garbage found at the end of client-final-message."),
        (
            b",p=" + PROOF,
            b"",
            MALFORMED,
            "Attribute expected, but found end of string.",
        ),
    ],
)
def test_server_refuses_a_malformed_final_message(old, new, text, detail):
    message = our_final().replace(old, new)
    assert message != our_final()
    assert refused_by_server(CLIENT_FIRST, message) == ("08P01", text, detail)


def test_server_refuses_every_flipped_bit_of_the_proof():
    head, _, encoded = our_final().partition(b",p=")
    proof = base64.b64decode(encoded)
    for bit in range(0, 256, 7):
        wrong = bytearray(proof)
        wrong[bit // 8] ^= 1 << bit % 8
        server = our_server()
        server.feed(CLIENT_FIRST)
        assert server.feed(head + b",p=" + base64.b64encode(wrong)) == b""
        assert server.state is ScramState.FAILED


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"r=other,s=c2FsdA==,i=1",
        b"r=rOprNGfwEbeRWgbNEkqO,s=c2FsdA==,i=1",
        b"r=rOprNGfwEbeRWgbNEkqOx,s=,i=1",
        b"r=rOprNGfwEbeRWgbNEkqOx,s=c2F,i=1",
        b"r=rOprNGfwEbeRWgbNEkqOx,s=c2FsdA==,i=0",
        b"r=rOprNGfwEbeRWgbNEkqOx,s=c2FsdA==,i=-1",
        b"r=rOprNGfwEbeRWgbNEkqOx,s=c2FsdA==,i=%d" % (MAX_ITERATIONS + 1),
        b"r=rOprNGfwEbeRWgbNEkqOx,s=c2FsdA==",
        b"e=other-error",
        b"\xff",
    ],
)
def test_client_refuses_a_wrong_challenge(challenge):
    client = rfc_client()
    client.first()
    with pytest.raises(ServerProtocolError):
        client.final(challenge)
    assert client.state is ScramState.FAILED


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"v=" + base64.b64encode(bytes(32)), "incorrect server signature"),
        (b"e=invalid-proof", "error received from server in SCRAM exchange: invalid-proof"),
        (b"v=*", "malformed SCRAM message"),
        (b"", "malformed SCRAM message"),
        (SERVER_FINAL[2:], "malformed SCRAM message"),
    ],
)
def test_client_refuses_a_server_that_does_not_know_the_secret(answer, text):
    client = rfc_client()
    client.first()
    client.final(SERVER_FIRST)
    with pytest.raises(ServerProtocolError, match=text):
        client.verify(answer)
    assert client.state is ScramState.FAILED


def test_client_takes_messages_in_order_only():
    client = rfc_client()
    with pytest.raises(ServerProtocolError, match="state first"):
        client.verify(SERVER_FINAL)
    client = rfc_client()
    client.final(SERVER_FIRST)
    with pytest.raises(ServerProtocolError, match="state final"):
        client.final(SERVER_FIRST)


def test_make_nonce_is_fresh_and_printable():
    assert make_nonce() != make_nonce()
    assert make_nonce(lambda count: bytes(count)) == "A" * 24
