from __future__ import annotations

import pytest

from greenpool.errors import ServerUnavailable
from greenpool.protocol.body import MalformedBody
from greenpool.protocol.errors import (
    ClientError,
    ErrorFields,
    Severity,
    SqlState,
    database_does_not_exist,
    error_response,
    password_authentication_failed,
    protocol_violation,
    role_does_not_exist,
)

POSTGRESQL_BODY = (
    b"SFEHLER\0VERROR\0C42P01\0Mrelation \xe9\0Dd\0Hh\0P15\0Fparse.c\0L7\0Rerr\0xnew in 2099\0\0"
)


def test_fields_of_postgresql_survive_a_round_trip_unchanged():
    fields = ErrorFields.parse(POSTGRESQL_BODY)
    assert fields.error_response()[5:] == POSTGRESQL_BODY
    assert (fields.severity, fields.sqlstate, fields.detail, fields.hint) == (
        "ERROR",
        "42P01",
        "d",
        "h",
    )
    assert str(fields).startswith("ERROR: relation")


def test_fields_of_old_servers_have_the_localized_severity_only():
    assert ErrorFields.parse(b"SFATAL\0C57P01\0Mbye\0\0").severity == "FATAL"
    assert ErrorFields.parse(b"\0").sqlstate == ""


@pytest.mark.parametrize("body", [b"", b"S", b"SERROR", b"SERROR\0", b"\0x", b"\xe9x\0\0"])
def test_fields_refuse_a_malformed_body(body):
    with pytest.raises(MalformedBody):
        ErrorFields.parse(body)


def test_error_and_notice_response_differ_in_type_only():
    fields = ErrorFields.of(Severity.NOTICE, SqlState.WARNING, "m", detail="d", hint="h")
    wire = b"\0\0\0\x25SNOTICE\0VNOTICE\0C01000\0Mm\0Dd\0Hh\0\0"
    assert fields.error_response() == b"E" + wire
    assert fields.notice_response() == b"N" + wire


def test_client_error_knows_its_severity_and_response():
    error = ClientError(Severity.ERROR, SqlState.SYNTAX_ERROR, "bad", "try")
    assert (error.severity, error.sqlstate, str(error)) == ("ERROR", "42601", "bad")
    assert error_response(error) == error.fields.error_response()
    assert error.fields.hint == "try"


def test_error_response_tells_errors_of_other_rooms():
    fields = ErrorFields.parse(error_response(ServerUnavailable("no such host"))[5:])
    assert (fields.severity, fields.sqlstate, fields.message) == (
        "FATAL",
        "08006",
        "no such host",
    )


@pytest.mark.parametrize(
    ("error", "sqlstate", "message"),
    [
        (protocol_violation("x"), "08P01", "x"),
        (
            password_authentication_failed("joe"),
            "28P01",
            'password authentication failed for user "joe"',
        ),
        (database_does_not_exist("db"), "3D000", 'database "db" does not exist'),
        (role_does_not_exist("joe"), "28000", 'role "joe" does not exist'),
    ],
)
def test_errors_are_worded_as_postgresql_words_them(error, sqlstate, message):
    fields = error.fields
    assert (fields.severity, fields.sqlstate, fields.message) == ("FATAL", sqlstate, message)
