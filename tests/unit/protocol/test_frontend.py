from __future__ import annotations

import pytest

from greenpool.protocol import frontend


@pytest.mark.parametrize(
    ("built", "wire"),
    [
        (
            frontend.startup_message({"user": "joe", "database": "db"}),
            b"\0\0\0\x1e\0\3\0\0user\0joe\0database\0db\0\0",
        ),
        (
            frontend.startup_message({"user": "j"}, frontend.PROTOCOL_3_2),
            b"\0\0\0\x10\0\3\0\2user\0j\0\0",
        ),
        (frontend.cancel_request(7, b"key!"), b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\7key!"),
        (frontend.ssl_request(), b"\0\0\0\x08\x04\xd2\x16\x2f"),
        (frontend.gssenc_request(), b"\0\0\0\x08\x04\xd2\x16\x30"),
        (frontend.password_message("pw"), b"p\0\0\0\7pw\0"),
        (frontend.sasl_initial_response("X", b"ab"), b"p\0\0\0\x0cX\0\0\0\0\2ab"),
        (frontend.sasl_response(b"ab"), b"p\0\0\0\6ab"),
        (frontend.query(""), b"Q\0\0\0\5\0"),
        (frontend.terminate(), b"X\0\0\0\4"),
    ],
)
def test_frontend_builds_the_wire_form(built, wire):
    assert built == wire


def test_frontend_startup_refuses_a_value_that_would_end_early():
    with pytest.raises(ValueError, match="zero byte"):
        frontend.startup_message({"user": "joe\0replication\0true"})
