from __future__ import annotations

import pytest

from greenpool.auth.saslprep import prepare_password, saslprep


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("user", "user"),
        ("I\u00adX", "IX"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("a\u200bb", "a b"),  # in both tables; PostgreSQL looks for spaces first
        ("caf\u0065\u0301", "caf\u00e9"),
        ("\u0627\u0031\u0628", "\u0627\u0031\u0628"),
        ("\a", "\a"),  # plain ASCII is not looked at, as in PostgreSQL
    ],
)
def test_saslprep_maps_and_normalizes(text, prepared):
    assert saslprep(text) == prepared


@pytest.mark.parametrize(
    "text",
    [
        "\u00ad",  # nothing is left
        "é\a",  # ASCII control beside something else
        "\u0627\u0031",  # right-to-left, but does not end so
        "\u0627a\u0628",  # mixed directions
        "\u0221",  # unassigned in Unicode 3.2
        "\ue000",  # private use
        "\U000e0001",  # tagging
        "\ud800",  # not UTF-8
    ],
)
def test_saslprep_refuses_and_the_password_is_used_as_it_is(text):
    assert saslprep(text) is None
    assert prepare_password("\udce9") == b"\xe9"


def test_prepare_password_returns_bytes_for_pbkdf2():
    assert prepare_password("\u2168") == b"IX"
    assert prepare_password("é\a") == "é\a".encode()
