from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenpool.protocol.message import (
    BackendType,
    FrontendType,
    build,
    cstring,
    decode_text,
    encode_text,
)


def test_types_are_single_distinct_bytes():
    for kind in (FrontendType, BackendType):
        values = [member.value for member in kind]
        assert all(len(value) == 1 for value in values)
        assert len(set(values)) == len(values)


def test_frontend_password_and_sasl_responses_are_one_type():
    for name in ("SASL_RESPONSE", "SASL_INITIAL_RESPONSE"):
        assert FrontendType[name] is FrontendType.PASSWORD_MESSAGE


def test_build_counts_length_word_but_not_type():
    assert build(FrontendType.SYNC) == b"S\0\0\0\4"
    assert build(FrontendType.QUERY, b"x\0") == b"Q\0\0\0\6x\0"


@given(st.binary())
def test_text_round_trips_whatever_the_encoding(data):
    assert encode_text(decode_text(data)) == data


def test_cstring_refuses_a_zero_byte():
    assert cstring("né") == b"n\xc3\xa9\0"
    with pytest.raises(ValueError, match="zero byte"):
        cstring("user\0database")
