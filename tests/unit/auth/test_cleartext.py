from __future__ import annotations

import pytest

from greenpool.auth.cleartext import cleartext_verify
from greenpool.auth.md5 import md5_hash
from greenpool.auth.secret import build_scram_secret, mock_secret, prepare_secret

SECRETS = [
    prepare_secret("pencil", "joe", b"boot"),
    md5_hash("joe", "pencil"),
    build_scram_secret("pencil", b"salt", 5),
]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: type(secret).__name__)
def test_cleartext_verifies_every_kind_of_secret(secret):
    assert cleartext_verify(secret, "joe", "pencil")
    assert not cleartext_verify(secret, "joe", "pencil ")
    assert not cleartext_verify(secret, "joe", "")


def test_cleartext_never_fits_a_mock_secret():
    assert not cleartext_verify(mock_secret("joe", b"boot"), "joe", "pencil")
