from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenpool.auth.secret import (
    Md5Hash,
    PlainSecret,
    ScramKeys,
    ScramSecret,
    SecretError,
    build_scram_secret,
    derive_keys,
    mock_salt,
    mock_secret,
    parse_scram_secret,
    prepare_secret,
)

# password, salt and iterations of RFC 7677, section 3, in the form that PostgreSQL stores
RFC_SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
RFC_SECRET = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
    "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)
MOCK_KEY = b"boot"


def test_build_scram_secret_gives_postgresql_s_text():
    assert build_scram_secret("pencil", RFC_SALT).text() == RFC_SECRET


def test_scram_secret_text_round_trips():
    secret = parse_scram_secret(RFC_SECRET)
    assert (secret.iterations, secret.salt) == (4096, RFC_SALT)
    assert secret.text() == RFC_SECRET
    assert derive_keys("pencil", RFC_SALT, 4096).stored_key == secret.stored_key


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("4096", ""),
        ("4096", "0"),
        ("4096", "-1"),
        ("4096", "\u0664096"),
        ("4096", "2147483648"),
        ("W22ZaJ0SNY7soEsUEjb6gQ==", ""),
        ("W22ZaJ0SNY7soEsUEjb6gQ==", "W22Z" * 86),
        ("W22ZaJ0SNY7soEsUEjb6gQ==", "W22Z*J0SNY7soEsUEjb6gQ=="),
        ("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=", "WG5d8oPm"),
        ("wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=", "wfPL"),
        ("wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=", "wfP"),
        ("$WG5d", ":WG5d"),
        ("W22ZaJ", "é2ZaJ"),
    ],
)
def test_parse_scram_secret_refuses_without_showing_it(old, new):
    with pytest.raises(SecretError, match="invalid SCRAM secret") as caught:
        prepare_secret(RFC_SECRET.replace(old, new), "joe", MOCK_KEY)
    assert "$W" not in str(caught.value)


@given(st.text(max_size=60))
def test_prepare_secret_never_fails_unexpectedly(text):
    def derive(password: str, salt: bytes, iterations: int) -> ScramKeys:
        return ScramKeys(bytes(32), bytes(32))

    try:
        secret = prepare_secret(text, "joe", MOCK_KEY, derive)
    except SecretError:
        return
    assert isinstance(secret, PlainSecret | Md5Hash | ScramSecret)


def test_prepare_secret_tells_the_kinds_apart():
    md5 = "md5" + "0" * 32
    assert prepare_secret(md5, "joe", MOCK_KEY) == Md5Hash(md5)
    assert isinstance(prepare_secret(md5 + "0", "joe", MOCK_KEY), PlainSecret)
    assert isinstance(prepare_secret("md5" + "G" * 32, "joe", MOCK_KEY), PlainSecret)
    assert isinstance(prepare_secret(RFC_SECRET, "joe", MOCK_KEY), ScramSecret)
    with pytest.raises(SecretError, match="empty"):
        prepare_secret("", "joe", MOCK_KEY)


def test_plain_secret_and_mock_secret_look_the_same_to_a_client():
    plain = prepare_secret("pencil", "joe", MOCK_KEY, iterations=5000)
    assert isinstance(plain, PlainSecret)
    mock = mock_secret("joe", MOCK_KEY, 5000)
    assert (plain.scram.salt, plain.scram.iterations) == (mock.salt, mock.iterations)


def test_mock_salt_depends_on_user_and_boot():
    salts = {mock_salt(user, key) for user in ("a", "b") for key in (b"1", b"2")}
    assert len(salts) == 4
    assert {len(salt) for salt in salts} == {16}


def test_repr_shows_no_secret():
    plain = prepare_secret("pencil", "joe", MOCK_KEY)
    keys = derive_keys("pencil", RFC_SALT, 1)
    shown = repr((plain, keys, parse_scram_secret(RFC_SECRET), Md5Hash("md5" + "a" * 32)))
    for secret in ("pencil", "aaaa", repr(keys.client_key), repr(keys.server_key)):
        assert secret not in shown
