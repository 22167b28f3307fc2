"""Which certificates are told, and for what they are there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from greenpool.config import load
from greenpool.observe.certificates import (
    AUTHORITIES_MAX,
    Certificate,
    Use,
    certificates_of,
)
from tests.integration.harness.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def told(directory: Path, general: dict, **pools: dict) -> list[Certificate]:
    """List the certificates of a configuration."""
    users = {"users": [{"username": "u"}]}
    file = directory / "greenpool.yaml"
    config = {
        "general": {"host": "127.0.0.1", **general},
        "pools": {name: users | pool for name, pool in (pools or {"app": {}}).items()},
    }
    file.write_text(yaml.safe_dump(config))
    return certificates_of(load(file, {}))


def _own(authority: Authority, prefix: str = "tls_", **how: object) -> dict[str, str]:
    issued = authority.issue("greenpool", **how)  # type: ignore[arg-type]  # as given
    return {
        f"{prefix}certificate": str(issued.certificate),
        f"{prefix}private_key": str(issued.key),
    }


def _each(found: list[Certificate]) -> Iterator[tuple[Use, str, str]]:
    return ((each.use, each.database, each.subject) for each in found)


def test_what_clients_see_is_told_with_its_times(authority: Authority, tmp_path: Path) -> None:
    (found,) = told(tmp_path, _own(authority))
    assert (found.use, found.database, found.subject) == (Use.CLIENT, "", "CN=greenpool")
    assert found.path.endswith(".crt")
    assert found.not_after_s == pytest.approx(time.time() + 30 * 86400, abs=60)
    assert found.not_before_s == pytest.approx(time.time() - 2 * 86400, abs=60)


def test_chain_and_revocation_lists(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue("greenpool")
    chain = issued.certificate.read_bytes() + authority.certificate.read_bytes()
    issued.certificate.write_bytes(chain)
    listed = authority.revoke(authority.issue("bob"))
    files = {"tls_certificate": str(issued.certificate), "tls_private_key": str(issued.key)}
    found = told(tmp_path, {**files, "tls_ca_cert": str(listed)})
    assert list(_each(found)) == [
        (Use.CLIENT, "", "CN=greenpool"),
        (Use.CLIENT, "", "CN=authority"),
        (Use.CLIENT_AUTHORITY, "", "CN=authority"),
    ]


def test_pools_share_what_they_inherit_and_tell_their_own(
    authority: Authority, tmp_path: Path
) -> None:
    general = {
        "server_tls_mode": "verify-ca",
        "server_tls_ca_cert": str(authority.certificate),
        **_own(authority, "server_tls_"),
    }
    own = {"server_tls_ca_cert": str(Authority(tmp_path, "other").certificate)}
    found = told(tmp_path, general, a={}, b={}, c=own, d={"server_tls_mode": "disable"})
    assert set(_each(found)) == {
        (Use.SERVER, "", "CN=greenpool"),
        (Use.SERVER_AUTHORITY, "", "CN=authority"),
        (Use.SERVER_AUTHORITY, "c", "CN=other"),
    }
    assert len(found) == 3


def test_authorities_of_a_whole_system_are_left_out(authority: Authority, tmp_path: Path) -> None:
    many = tmp_path / "many.pem"
    for count, expected in ((AUTHORITIES_MAX, 1), (AUTHORITIES_MAX + 1, 0)):
        many.write_bytes(authority.certificate.read_bytes() * count)
        found = told(tmp_path, {}, app={"server_tls_ca_cert": str(many)})
        assert len(found) == expected  # they are one and the same


def test_file_that_cannot_be_read_here_is_left_out(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenSSL judges whether it can be used; here it only costs its dates."""
    bad = tmp_path / "bad.pem"
    bad.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    own = {**_own(authority), "tls_ca_cert": str(bad)}
    assert [each.use for each in told(tmp_path, own)] == [Use.CLIENT]
    assert "cannot tell when the certificates" in caplog.text


def test_without_tls_nothing_is_told(authority: Authority, tmp_path: Path) -> None:
    assert told(tmp_path, {**_own(authority), "tls_mode": "disable"}) == []
