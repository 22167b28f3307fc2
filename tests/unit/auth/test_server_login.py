from __future__ import annotations

import base64
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenpool.auth.md5 import md5_hash, md5_response
from greenpool.auth.scram import MECHANISM
from greenpool.auth.secret import (
    Md5Hash,
    PlainPassword,
    ScramKeys,
    build_scram_secret,
    derive_keys,
)
from greenpool.auth.server_login import (
    _AUTHENTICATIONS,
    _MESSAGES,
    LoginState,
    ServerGreeting,
    ServerLogin,
)
from greenpool.errors import ServerProtocolError
from greenpool.protocol import backend, frontend
from greenpool.protocol.body import Body
from greenpool.protocol.errors import ErrorFields, Severity, SqlState
from greenpool.protocol.frame import FrameReader
from greenpool.protocol.message import AuthCode, BackendType, FrontendType, build
from tests.unit.auth.scram_peer import ScramServer
from tests.unit.protocol.feeding import slicings

PENCIL = PlainPassword("pencil")
SECRET = build_scram_secret("pencil", b"salt", 3)
OK = backend.authentication_ok()
READY = backend.ready_for_query()
NOTICE = ErrorFields.of(Severity.NOTICE, SqlState.WARNING, "hello")
REFUSED = ErrorFields.of(Severity.FATAL, SqlState.CANNOT_CONNECT_NOW, "starting up")
WELCOME = (
    NOTICE.notice_response()
    + backend.parameter_status("server_version", "15.1")
    + backend.parameter_status("application_name", "")
    + backend.parameter_status("server_version", "15.2")
    + backend.backend_key_data(77, b"keyy")
    + READY
)
GREETING = ServerGreeting(
    {"server_version": "15.2", "application_name": ""}, 77, b"keyy", frontend.PROTOCOL_3_0
)


def started(credential=None, **options):
    login = ServerLogin("joe", "db", {"DateStyle": "ISO"}, credential, **options)
    login.start()
    return login


def violation(login, data):
    with pytest.raises(ServerProtocolError) as caught:
        login.feed(data)
    assert login.greeting is None
    return str(caught.value)


def test_start_sends_the_startup_message():
    login = ServerLogin("joe", "db", {"DateStyle": "ISO"}, None, version=frontend.PROTOCOL_3_2)
    states = [login.state]
    assert login.start() == frontend.startup_message(
        {"user": "joe", "database": "db", "DateStyle": "ISO"}, frontend.PROTOCOL_3_2
    )
    states.append(login.state)
    assert states == [LoginState.NEW, LoginState.STARTED]


def test_trust_login_reads_the_same_however_split():
    transcript = OK + WELCOME
    for slices, tail in itertools.product(
        slicings(transcript), (b"", b"S", NOTICE.notice_response())
    ):
        login = started()
        assert b"".join(map(login.feed, [*slices[:-1], slices[-1] + tail])) == b""
        assert (login.state, login.greeting) == (LoginState.READY, GREETING)
        assert list(login.notices) == [NOTICE]
        assert login.take_rest() == tail


def conversation(login, questions):
    """Feed each question byte by byte, return what was answered to it."""
    return [
        b"".join(login.feed(question[at : at + 1]) for at in range(len(question)))
        for question in questions
    ]


def test_cleartext_login():
    login = started(PENCIL)
    answers = conversation(login, [backend.authentication_cleartext_password(), OK + WELCOME])
    assert answers == [frontend.password_message("pencil"), b""]
    assert login.greeting == GREETING


@pytest.mark.parametrize("credential", [PENCIL, md5_hash("joe", "pencil")])
def test_md5_login_with_password_or_hash(credential):
    login = started(credential)
    answers = conversation(login, [backend.authentication_md5_password(b"salt"), OK + WELCOME])
    response = md5_response(md5_hash("joe", "pencil"), b"salt")
    assert answers == [frontend.password_message(response), b""]
    assert login.greeting == GREETING


def sasl_data(answer):
    [message] = FrameReader(FrontendType).feed(answer)
    body = Body(message.body)
    assert body.cstring() == MECHANISM
    return body.take(body.i32())


@pytest.mark.parametrize("credential", [PENCIL, derive_keys("pencil", b"salt", 3)])
@pytest.mark.parametrize("offer", [[MECHANISM], ["SCRAM-SHA-256-PLUS", MECHANISM, "OAUTHBEARER"]])
def test_scram_login_with_password_or_keys(credential, offer):
    login, server = started(credential, is_encrypted=True), ScramServer(SECRET)
    [first] = conversation(login, [backend.authentication_sasl(offer)])
    challenge = backend.authentication_sasl_continue(server.feed(sasl_data(first)))
    [final] = conversation(login, [challenge])
    verdict = backend.authentication_sasl_final(server.feed(final[5:]))
    assert conversation(login, [verdict + OK + WELCOME]) == [b""]
    assert login.greeting == GREETING


def test_scram_login_derives_through_the_caller():
    asked = []

    def derive(password: str, salt: bytes, iterations: int) -> ScramKeys:
        asked.append((password, salt, iterations))
        return derive_keys(password, salt, iterations)

    login = started(PENCIL, derive=derive)
    first = login.feed(backend.authentication_sasl([MECHANISM]))
    login.feed(backend.authentication_sasl_continue(ScramServer(SECRET).feed(sasl_data(first))))
    assert asked == [("pencil", b"salt", 3)]


def test_scram_login_refuses_a_server_that_cannot_prove_itself():
    login = started(PENCIL)
    first = login.feed(backend.authentication_sasl([MECHANISM]))
    login.feed(backend.authentication_sasl_continue(ScramServer(SECRET).feed(sasl_data(first))))
    forged = b"v=" + base64.b64encode(bytes(32))
    assert "incorrect server signature" in violation(
        login, backend.authentication_sasl_final(forged) + OK + WELCOME
    )


def test_scram_login_refuses_ok_before_the_server_has_proved_itself():
    login = started(PENCIL)
    first = login.feed(backend.authentication_sasl([MECHANISM]))
    early = violation(login, OK + WELCOME)
    assert early.startswith("server login in state SASL_FIRST_SENT: AUTHENTICATION OK")
    login = started(PENCIL)
    first = login.feed(backend.authentication_sasl([MECHANISM]))
    login.feed(backend.authentication_sasl_continue(ScramServer(SECRET).feed(sasl_data(first))))
    assert "SASL_FINAL_SENT: AUTHENTICATION OK" in violation(login, OK + WELCOME)


def test_error_of_the_server_is_kept_whole_in_every_state():
    for questions in ([], [backend.authentication_cleartext_password()], [OK]):
        login = started(PENCIL)
        conversation(login, questions)
        login.feed(REFUSED.error_response() + b"tail")
        assert (login.state, login.error) == (LoginState.FAILED, REFUSED)
        assert login.error.error_response() == REFUSED.error_response()
        assert login.take_rest() == b"tail"


CLEARTEXT = backend.authentication_cleartext_password()
MD5 = backend.authentication_md5_password(b"salt")
SASL = backend.authentication_sasl([MECHANISM])


@pytest.mark.parametrize(
    ("credential", "question", "wanted", "has"),
    [
        (None, CLEARTEXT, "a cleartext password", "no password"),
        (None, MD5, "an md5 password", "no password"),
        (None, SASL, "SCRAM-SHA-256 authentication", "no password"),
        (Md5Hash("md5" + "0" * 32), SASL, "SCRAM-SHA-256 authentication", "only an md5 hash"),
        (derive_keys("x", b"s", 1), MD5, "an md5 password", "only SCRAM keys"),
        (derive_keys("x", b"s", 1), CLEARTEXT, "a cleartext password", "only SCRAM keys"),
        (
            PENCIL,
            backend.authentication_sasl(["OAUTHBEARER"]),
            "SASL authentication with one of OAUTHBEARER",
            "only a password",
        ),
        (PENCIL, build(BackendType.AUTHENTICATION, b"\0\0\0\7"), "GSS auth", "only a password"),
        (PENCIL, build(BackendType.AUTHENTICATION, b"\0\0\0\x63"), "method 99", "only a password"),
    ],
)
def test_login_fails_in_words_when_the_credential_cannot_answer(credential, question, wanted, has):
    login = started(credential)
    assert login.feed(question) == b""
    assert login.state is LoginState.FAILED
    assert login.error is not None
    assert login.error.sqlstate == "28000"
    assert wanted in login.error.message
    assert login.error.message.endswith(f'of user "joe", but greenpool has {has}')


def test_login_without_backend_key_data_has_no_cancel_key():
    login = started()
    login.feed(OK + READY)
    assert login.greeting == ServerGreeting({}, 0, b"", frontend.PROTOCOL_3_0)


@pytest.mark.parametrize(("size", "version"), [(4, 0x30000), (32, 0x30002), (256, 0x30002)])
def test_login_takes_cancel_keys_of_its_version(size, version):
    login = started(version=version)
    login.feed(OK + backend.backend_key_data(1, bytes(size)) + READY)
    assert login.greeting is not None
    assert login.greeting.cancel_key == bytes(size)
    assert login.greeting.version == version


@pytest.mark.parametrize(("size", "version"), [(3, 0x30000), (5, 0x30000), (257, 0x30002)])
def test_login_refuses_other_cancel_keys(size, version):
    key = build(BackendType.BACKEND_KEY_DATA, bytes(4 + size))
    assert f"cancel key of {size} bytes" in violation(started(version=version), OK + key)


def test_login_negotiates_down_once():
    down = backend.negotiate_protocol_version(0x30000, [])
    login = started(version=0x30002)
    login.feed(down + OK + backend.backend_key_data(1, b"keyy") + READY)
    assert login.greeting is not None
    assert login.greeting.version == 0x30000
    assert "NEGOTIATE" in violation(started(version=0x30002), down + down)


@pytest.mark.parametrize(
    ("version", "names"), [(0x30002, []), (0x20000, []), (0x30000, ["_pq_.x"])]
)
def test_login_refuses_a_negotiation_it_did_not_ask_for(version, names):
    data = backend.negotiate_protocol_version(version, names)
    assert "STARTED: NEGOTIATE_PROTOCOL_VERSION" in violation(started(), data)


BODIES = {
    BackendType.READY_FOR_QUERY: b"I",
    BackendType.PARAMETER_STATUS: b"a\0b\0",
    BackendType.BACKEND_KEY_DATA: bytes(8),
    BackendType.NEGOTIATE_PROTOCOL_VERSION: b"\0\3\0\0\0\0\0\0",
}


def login_in(state):
    login = started(PENCIL)
    login.state = state
    return login


WAITING = [state for state, kind in _MESSAGES if kind is BackendType.ERROR_RESPONSE]


@pytest.mark.parametrize("state", WAITING)
def test_every_pair_that_is_not_in_the_table_is_a_named_violation(state):
    for kind in BackendType:
        if (state, kind) in _MESSAGES:
            continue
        text = violation(login_in(state), build(kind, BODIES.get(kind, b"")))
        assert text == (f"server login in state {state.name}: {kind.name} from server: unexpected")
    if state is LoginState.AUTHENTICATED:
        return
    for code in AuthCode:
        refusable = state is LoginState.STARTED and code not in (
            AuthCode.SASL_CONTINUE,
            AuthCode.SASL_FINAL,
            AuthCode.GSS_CONTINUE,
        )
        if (state, code) not in _AUTHENTICATIONS and not refusable:
            data = build(BackendType.AUTHENTICATION, code.to_bytes(4, "big"))
            assert f"{state.name}: AUTHENTICATION {code.name}" in violation(login_in(state), data)


@pytest.mark.parametrize(
    "data",
    [
        build(BackendType.AUTHENTICATION, b"\0\0\0"),
        build(BackendType.AUTHENTICATION, b"\0\0\0\0x"),
        build(BackendType.AUTHENTICATION, b"\0\0\0\5abc"),
        build(BackendType.AUTHENTICATION, b"\0\0\0\5abcde"),
        build(BackendType.AUTHENTICATION, b"\0\0\0\x0aSCRAM-SHA-256\0"),
        OK + build(BackendType.PARAMETER_STATUS, b"name\0value"),
        OK + build(BackendType.PARAMETER_STATUS, b"name\0value\0\0"),
        OK + build(BackendType.READY_FOR_QUERY, b"T"),
        OK + build(BackendType.READY_FOR_QUERY, b""),
        OK + build(BackendType.BACKEND_KEY_DATA, b"abc"),
        build(BackendType.ERROR_RESPONSE, b"SFATAL"),
        build(BackendType.NEGOTIATE_PROTOCOL_VERSION, b""),
    ],
)
def test_login_refuses_malformed_bodies(data):
    assert violation(started(PENCIL), data).startswith("server login in state ")


@given(at=st.integers(0, 200), byte=st.integers(0, 255))
def test_a_damaged_login_is_refused_or_understood(at, byte):
    transcript = bytearray(OK + WELCOME)
    transcript[at % len(transcript)] = byte
    login = started(PENCIL)
    try:
        login.feed(bytes(transcript))
    except ServerProtocolError:
        assert login.greeting is None
    else:
        assert (login.greeting is not None) == (login.state is LoginState.READY)
        assert (login.error is not None) == (login.state is LoginState.FAILED)
