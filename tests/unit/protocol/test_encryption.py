"""The order of plain and encrypted logins, by mode."""

from __future__ import annotations

import pytest

from greenpool.config import ServerTlsMode
from greenpool.protocol.encryption import Step, steps


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("disable", [Step.PLAIN]),
        ("allow", [Step.PLAIN, Step.TLS]),
        ("prefer", [Step.TLS_IF_ANY, Step.PLAIN]),
        ("require", [Step.TLS]),
        ("verify-ca", [Step.TLS]),
        ("verify-full", [Step.TLS]),
    ],
)
def test_modes_are_steps_and_unix_sockets_have_none(mode: str, expected: list[Step]):
    assert list(steps("db.example", ServerTlsMode(mode))) == expected
    assert steps("/run", ServerTlsMode(mode)) == (Step.PLAIN,)
