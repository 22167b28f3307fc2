"""Contexts from the configuration: which there are, when they are made anew, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from greenpool.config import Config, load
from greenpool.errors import ConfigError
from greenpool.worker import tls_contexts
from greenpool.worker.tls_contexts import TlsContexts
from tests.integration.harness.certificates import Authority, Issued

NOW_S = 0.0
Configure = Callable[..., Config]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def own(authority: Authority) -> Issued:
    return authority.issue("greenpool")


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Return what loads a configuration with these keys of general."""

    def configure(**general: Any) -> Config:
        lines = [f"  {name}: {value}" for name, value in {"port": 1, **general}.items()]
        path = tmp_path / "greenpool.yaml"
        path.write_text(
            "\n".join(["general:", *lines, "pools:", "  app: {users: [{username: ada}]}"])
        )
        return load(path, {})

    return configure


def files_of(issued: Issued) -> dict[str, Path]:
    return {"tls_certificate": issued.certificate, "tls_private_key": issued.key}


def test_there_is_none_without_a_certificate_or_when_disabled(configure, own):
    contexts = TlsContexts(bytes(32))
    contexts.apply(configure())
    assert contexts.clients is None
    contexts.apply(configure(**files_of(own)))
    assert contexts.clients is not None
    contexts.apply(configure(tls_mode="disable", **files_of(own)))
    assert contexts.clients is None


def test_context_is_made_anew_when_a_file_has_changed_and_not_before(configure, authority, own):
    contexts = TlsContexts(bytes(32))
    contexts.apply(configure(**files_of(own)))
    first = contexts.clients
    contexts.apply(configure(**files_of(own), max_connections=10))
    assert contexts.clients is first
    other = authority.issue("other")
    own.certificate.write_bytes(other.certificate.read_bytes())
    own.key.write_bytes(other.key.read_bytes())
    contexts.apply(configure(**files_of(own)))
    assert contexts.clients is not first


@pytest.mark.parametrize(
    ("kind", "is_slow"), [("ec", False), ("rsa2048", False), ("rsa3072", True)]
)
def test_long_keys_are_slow(configure, authority, kind, is_slow):
    contexts = TlsContexts(bytes(32))
    contexts.apply(configure(**files_of(authority.issue("x", kind=kind))))
    assert contexts.is_slow is is_slow


def test_check_names_what_cannot_be_used(configure, tmp_path, authority, own):
    other = authority.issue("other")
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    config = configure(
        tls_certificate=own.certificate,
        tls_private_key=other.key,
        tls_ca_cert=nonsense,
        tls_ciphers="NO-SUCH-CIPHER",
        tls13_ciphers="NO_SUCH_SUITE",
    )
    with pytest.raises(ConfigError) as caught:
        tls_contexts.check(config, NOW_S)
    found = caught.value.problems
    assert [problem.partition(":")[0] for problem in found] == [
        "general.tls_private_key",
        "general.tls_ca_cert",
        "general.tls_ciphers",
        "general.tls13_ciphers",
    ]
    assert f'"{other.key}": the key does not fit the certificate' in found[0]


def test_passphrase_is_not_asked_for(configure, tmp_path, own):
    protected = tmp_path / "protected.key"
    protected.write_bytes(
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n" + b"A" * 64 + b"\n"
        b"-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    with pytest.raises(ConfigError, match=r"tls_private_key.*(passphrase|not a private key)"):
        tls_contexts.check(
            configure(tls_certificate=own.certificate, tls_private_key=protected), NOW_S
        )


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (0, []),
        (20, ["expires in 10.0 days"]),
        (31, ["has expired"]),
        (-10, ["is not valid yet"]),
    ],
)
def test_check_warns_of_the_end(configure, authority, days, words):
    issued = authority.issue("soon", valid=timedelta(days=30))
    config = configure(**files_of(issued))
    own = tls_contexts.TlsContexts(bytes(32))
    own.apply(config)
    assert own.clients is not None
    assert own.clients.own is not None
    begin_s = own.clients.own.not_after_s - 30 * 86400
    found = tls_contexts.check(config, begin_s + days * 86400)
    assert [each.rpartition('" ')[2] for each in found] == words
    assert all(str(issued.certificate) in each for each in found)
