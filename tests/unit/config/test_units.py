import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenpool.config.units import format_duration, format_size, parse_duration, parse_size

NUMBERS = st.integers(min_value=0, max_value=10**18)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0", 0),
        ("250", 250),
        ("250ms", 250),
        ("3s", 3_000),
        ("5m", 300_000),
        ("1h", 3_600_000),
        ("2d", 172_800_000),
        (" 3 s ", 3_000),
    ],
)
def test_duration_is_milliseconds(text, milliseconds):
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("64KB", 65_536),
        ("64K", 65_536),
        ("1mb", 1 << 20),
        ("1G", 1 << 30),
        ("1 GB", 1 << 30),
    ],
)
def test_size_is_bytes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "s", "1.5s", "-1s", "1h30m", "3S", "5M", "1w", "٣s", "9" * 21]
)
def test_duration_refuses(text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "KB", "1.5MB", "-1", "1T", "1KiB", "1 K B"])
def test_size_refuses(text):
    with pytest.raises(ValueError, match=f"^{re.escape(text.upper())}$"):
        parse_size(text)


def test_duration_bare_number_counts_what_the_caller_says():
    assert parse_duration("5", bare_ms=1000) == parse_duration("5s", bare_ms=1000) == 5000


@given(NUMBERS)
def test_duration_survives_the_round_trip(number):
    assert parse_duration(format_duration(number)) == number


@given(NUMBERS)
def test_size_survives_the_round_trip(number):
    assert parse_size(format_size(number)) == number


@given(st.integers(1, 10**6), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_duration_is_written_in_the_largest_unit_that_divides_it(number, unit):
    text = format_duration(parse_duration(f"{number}{unit}"))
    assert int(text.rstrip("dhms")) <= number
