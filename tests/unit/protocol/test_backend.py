from __future__ import annotations

import pytest

from greenpool.protocol import backend
from greenpool.protocol.message import TransactionStatus


@pytest.mark.parametrize(
    ("built", "wire"),
    [
        (backend.authentication_ok(), b"R\0\0\0\x08\0\0\0\0"),
        (backend.authentication_cleartext_password(), b"R\0\0\0\x08\0\0\0\3"),
        (backend.authentication_md5_password(b"salt"), b"R\0\0\0\x0c\0\0\0\5salt"),
        (backend.authentication_sasl(["A", "B"]), b"R\0\0\0\x0d\0\0\0\x0aA\0B\0\0"),
        (backend.authentication_sasl_continue(b"c"), b"R\0\0\0\x09\0\0\0\x0bc"),
        (backend.authentication_sasl_final(b"f"), b"R\0\0\0\x09\0\0\0\x0cf"),
        (backend.parameter_status("a", ""), b"S\0\0\0\7a\0\0"),
        (backend.backend_key_data(5, b"keyy"), b"K\0\0\0\x0c\0\0\0\5keyy"),
        (backend.ready_for_query(), b"Z\0\0\0\5I"),
        (backend.ready_for_query(TransactionStatus.IN_FAILED_TRANSACTION), b"Z\0\0\0\5E"),
        (
            backend.negotiate_protocol_version(0x30002, ["_pq_.x"]),
            b"v\0\0\0\x13\0\3\0\2\0\0\0\1_pq_.x\0",
        ),
        (
            backend.row_description([backend.Column("n", backend.INT8)]),
            b"T\0\0\0\x1a\0\1n\0\0\0\0\0\0\0\0\0\0\x14\0\x08\xff\xff\xff\xff\0\0",
        ),
        (
            backend.data_row(["é", None, ""]),
            b"D\0\0\0\x14\0\3\0\0\0\2\xc3\xa9" + b"\xff" * 4 + b"\0" * 4,
        ),
        (backend.command_complete("SHOW"), b"C\0\0\0\x09SHOW\0"),
        (backend.empty_query_response(), b"I\0\0\0\4"),
    ],
)
def test_backend_builds_the_wire_form(built, wire):
    assert built == wire


@pytest.mark.parametrize("size", [4, 32, 256])
def test_backend_key_data_takes_keys_of_protocol_3_2(size):
    assert len(backend.backend_key_data(1, bytes(size))) == 9 + size


@pytest.mark.parametrize("size", [0, 3, 257])
def test_backend_key_data_refuses_other_keys(size):
    with pytest.raises(ValueError, match="4 to 256"):
        backend.backend_key_data(1, bytes(size))


def test_backend_refuses_a_wrong_salt_and_too_many_columns():
    with pytest.raises(ValueError, match="4 bytes"):
        backend.authentication_md5_password(b"12345")
    with pytest.raises(ValueError, match="1664"):
        backend.data_row(["x"] * 1665)
    with pytest.raises(ValueError, match="1664"):
        backend.row_description([backend.Column("x")] * 1665)
