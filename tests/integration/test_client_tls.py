"""Who gets TLS towards clients, by which certificates: libpq 15 (psql) and 18 (psycopg)."""

from __future__ import annotations

import socket
import ssl
from datetime import timedelta

import psycopg
import pytest

from greenpool.demo.installation import find_installations
from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness import messages
from tests.integration.harness.certificates import Authority, Issued
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.tls import House, files_of, is_well, psql_15
from tests.integration.harness.wire import Wire

pytestmark = ANY_POSTGRESQL

MB = 1 << 20
_PSQL_15 = next(each for each in find_installations() if each.major == 15).program("psql")


@pytest.fixture
def pooler(make_pooler: MakePooler, house: House) -> Pooler:
    return make_pooler(2, **house.settings())


# ---- who gets it -------------------------------------------------------------------------------

_PLAIN, _TLS, _REFUSED = "plain", "tls", "refused"
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_OUTCOMES = {
    "disable": (_PLAIN, _PLAIN, _PLAIN, _REFUSED, _REFUSED, _REFUSED),
    "allow": (_PLAIN, _PLAIN, _TLS, _TLS, _TLS, _TLS),
    "require": (_REFUSED, _TLS, _TLS, _TLS, _TLS, _TLS),
}


@pytest.mark.parametrize("tls_mode", _OUTCOMES)
def test_every_sslmode_of_libpq(make_pooler: MakePooler, house: House, tls_mode: str) -> None:
    pooler = make_pooler(1, **house.settings(tls_mode=tls_mode))
    root = {"sslrootcert": str(house.authority.certificate)}
    for sslmode, outcome in zip(_MODES, _OUTCOMES[tls_mode], strict=True):
        done = psql_15(pooler, sslmode=sslmode, **root)
        assert (done.returncode == 0) is (outcome != _REFUSED), (sslmode, done.stderr)
        try:
            with pooler.connect(sslmode=sslmode, **root) as connection:
                assert connection.execute("select 1").fetchone() == (1,)
                found = _TLS if connection.pgconn.ssl_in_use else _PLAIN
        except psycopg.OperationalError:
            found = _REFUSED
        assert found == outcome, sslmode


def test_plain_client_is_told_that_tls_is_required(make_pooler: MakePooler, house: House) -> None:
    pooler = make_pooler(1, **house.settings(tls_mode="require"))
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.send(messages.startup({"user": "app", "database": "app"}))
        (error,) = wire.read_to_end()
    assert (error.fields["S"], error.fields["C"]) == ("FATAL", "28000")
    assert error.fields["M"] == "SSL required"


def test_cancel_request_is_ended_within_tls(make_pooler: MakePooler, house: House) -> None:
    """libpq took the end of it for a failure, though it had been delivered."""
    pooler = make_pooler(1, **house.settings())
    with pooler.connect(sslmode="require") as connection:
        connection.execute("select 1")
        connection.cancel_safe(timeout=10)


def test_unix_socket_has_no_tls_and_needs_none(make_pooler: MakePooler, house: House) -> None:
    settings = house.settings(tls_mode="require", unix_socket_dir=str(house.directory))
    pooler = make_pooler(1, **settings)
    with Wire.connect_unix(house.directory / f".s.PGSQL.{pooler.port}") as wire:
        wire.send(messages.ssl_request())
        assert wire.read_bytes(1) == b"N"
        wire.login()
        assert wire.rows("select 1") == [[b"1"]]


def test_what_is_spoken_is_shown(pooler: Pooler) -> None:
    with (
        pooler.connect(sslmode="require", ssl_max_protocol_version="TLSv1.2"),
        pooler.connect(sslmode="require"),
        pooler.connect(sslmode="disable"),
    ):
        shown = {row["tls"] for row in pooler.admin("show clients") if row["user"] == "app"}
    assert shown == {
        "TLSv1.2/ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLSv1.3/TLS_AES_256_GCM_SHA384",
        "",
    }


def test_versions_and_ciphers_are_those_configured(make_pooler: MakePooler, house: House) -> None:
    suites = "TLS_CHACHA20_POLY1305_SHA256"
    pooler = make_pooler(1, **house.settings(tls_min_version="1.3", tls13_ciphers=suites))
    with pytest.raises(psycopg.OperationalError, match="protocol version"):
        pooler.connect(sslmode="require", ssl_max_protocol_version="TLSv1.2")
    with pooler.connect(sslmode="require"):
        shown = [row["tls"] for row in pooler.admin("show clients") if row["user"] == "app"]
    assert shown == [f"TLSv1.3/{suites}"]
    pooler.reload(tls_min_version="1.2", tls_ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")
    with pooler.connect(sslmode="require", ssl_max_protocol_version="TLSv1.2"):
        shown = [row["tls"] for row in pooler.admin("show clients") if row["user"] == "app"]
    assert shown == ["TLSv1.2/ECDHE-ECDSA-AES128-GCM-SHA256"]


# ---- direct TLS --------------------------------------------------------------------------------


def test_direct_tls(pooler: Pooler, house: House) -> None:
    root = {"sslrootcert": str(house.authority.certificate)}
    with pooler.connect(sslmode="verify-full", sslnegotiation="direct", **root) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
        assert connection.pgconn.ssl_in_use


def test_direct_tls_without_a_certificate_is_refused(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1)
    with pytest.raises(psycopg.OperationalError, match="handshake failure"):
        pooler.connect(sslmode="require", sslnegotiation="direct")
    assert is_well(pooler)


@pytest.mark.parametrize(("alpn", "error"), [(None, ""), ("http/1.1", "no application protocol")])
def test_direct_tls_needs_alpn(pooler: Pooler, house: House, alpn: str | None, error: str) -> None:
    context = house.context(alpn)
    sock = socket.create_connection((pooler.host, pooler.port), 5)
    if error:
        with sock, pytest.raises(ssl.SSLError, match="(?i)" + error.replace(" ", "[_ ]")):
            context.wrap_socket(sock, server_hostname=pooler.host)
        return
    with context.wrap_socket(sock, server_hostname=pooler.host) as secure:
        assert secure.recv(100) == b""


def test_alpn_of_another_protocol_is_refused_after_sslrequest(pooler: Pooler, house: House) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)no[_ ]application[_ ]protocol"):
        Wire.connect(pooler.host, pooler.port, house.context("http/1.1"))


# ---- certificates ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sslmode": "verify-full", "root": "stranger"}, "certificate verify failed"),
        ({"sslmode": "verify-ca", "root": "stranger"}, "certificate verify failed"),
        ({"sslmode": "verify-full", "host": "localhost.localdomain"}, "does not match host"),
    ],
)
def test_libpq_refuses_a_certificate(
    pooler: Pooler, house: House, options: dict[str, str], words: str
) -> None:
    root = house.stranger if options.pop("root", "") else house.authority
    if "host" in options:
        options["hostaddr"] = pooler.host
    with pytest.raises(psycopg.OperationalError, match=words):
        pooler.connect(**options, sslrootcert=str(root.certificate))
    assert is_well(pooler)


def test_libpq_refuses_an_expired_certificate(make_pooler: MakePooler, house: House) -> None:
    own = house.issue_server(valid=-timedelta(days=1))
    pooler = make_pooler(1, **house.settings(own))
    assert "has expired" in pooler.log()
    root = str(house.authority.certificate)
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        pooler.connect(sslmode="verify-ca", sslrootcert=root)
    with pooler.connect(sslmode="require"):
        pass


@pytest.mark.parametrize("kind", ["rsa2048", "rsa3072", "ed25519"])
def test_other_kinds_of_keys(make_pooler: MakePooler, house: House, kind: str) -> None:
    pooler = make_pooler(1, **house.settings(house.issue_server(kind=kind)))
    root = str(house.authority.certificate)
    for version in ("TLSv1.2", "TLSv1.3"):
        with pooler.connect(
            sslmode="verify-full", sslrootcert=root, ssl_max_protocol_version=version
        ) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_client_certificate_is_demanded(make_pooler: MakePooler, house: House) -> None:
    pooler = make_pooler(1, **house.asking(tls_mode="verify-ca"))
    known = house.authority.issue("somebody")
    stranger = house.stranger.issue("app")
    expired = house.authority.issue("app", valid=-timedelta(days=1))
    with pooler.connect(sslmode="require", **files_of(known)) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="requires a valid client certificate"):
        pooler.connect(sslmode="require", sslcert="/none")
    with pytest.raises(psycopg.OperationalError, match="unknown ca"):
        pooler.connect(sslmode="require", **files_of(stranger))
    with pytest.raises(psycopg.OperationalError, match="certificate expired"):
        pooler.connect(sslmode="require", **files_of(expired))
    assert psql_15(pooler, sslmode="require", **files_of(known)).stdout == "served\n"
    assert "unknown ca" in psql_15(pooler, sslmode="require", **files_of(stranger)).stderr


def test_certificate_must_be_the_user_s(make_pooler: MakePooler, house: House) -> None:
    pooler = make_pooler(1, **house.asking(tls_mode="verify-full"))
    with pooler.connect(sslmode="require", **files_of(house.authority.issue("app"))):
        pass
    other = house.authority.issue("other")
    with pytest.raises(psycopg.OperationalError, match='failed for user "app"'):
        pooler.connect(sslmode="require", **files_of(other))


def test_certificate_is_optional_below_that(make_pooler: MakePooler, house: House) -> None:
    pooler = make_pooler(1, **house.asking(tls_mode="require"))
    with pooler.connect(sslmode="require", sslcert="/none"):
        pass
    stranger = house.stranger.issue("app")
    with pytest.raises(psycopg.OperationalError, match="unknown ca"):
        pooler.connect(sslmode="require", **files_of(stranger))


def test_revoked_certificate_is_refused(make_pooler: MakePooler, house: House) -> None:
    good, bad = house.authority.issue("app"), house.authority.issue("app")
    listed = str(house.authority.revoke(bad))
    pooler = make_pooler(1, **house.settings(tls_mode="verify-ca", tls_ca_cert=listed))
    with pooler.connect(sslmode="require", **files_of(good)):
        pass
    with pytest.raises(psycopg.OperationalError, match="certificate revoked"):
        pooler.connect(sslmode="require", **files_of(bad))


@pytest.mark.parametrize("kind", ["ec", "rsa2048"])
def test_login_is_bound_to_the_certificate(
    make_pooler: MakePooler, house: House, kind: str
) -> None:
    pooler = make_pooler(1, **house.settings(house.issue_server(kind=kind)))
    for binding in ("disable", "prefer", "require"):
        with pooler.connect(sslmode="require", channel_binding=binding) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert psql_15(pooler, sslmode="require", channel_binding=binding).returncode == 0
    with pytest.raises(psycopg.OperationalError, match="channel binding"):
        pooler.connect(sslmode="disable", channel_binding="require")


def test_certificate_without_a_hash_cannot_be_bound_to(
    make_pooler: MakePooler, house: House
) -> None:
    edwards = Authority(house.directory, "edwards", "ed25519").issue("greenpool")
    pooler = make_pooler(1, **house.settings(edwards))
    with pooler.connect(sslmode="require", channel_binding="disable"):
        pass
    with pytest.raises(psycopg.OperationalError, match="channel binding"):
        pooler.connect(sslmode="require", channel_binding="require")


# ---- reload ------------------------------------------------------------------------------------


def _serial_shown(pooler: Pooler, house: House) -> int:
    with Wire.connect(pooler.host, pooler.port, house.context()) as wire:
        assert isinstance(wire.sock, ssl.SSLSocket)
        shown = wire.sock.getpeercert()
    assert shown is not None
    return int(str(shown["serialNumber"]), 16)


def test_new_certificate_under_the_old_name(make_pooler: MakePooler, house: House) -> None:
    first = house.issue_server(file="renewed")
    pooler = make_pooler(2, **house.settings(first))
    with pooler.connect(sslmode="require") as connection:
        second = house.issue_server(file="renewed")
        assert _serial_shown(pooler, house) == first.serial
        done = pooler.reload()
        assert "general.tls_certificate" in done.stdout
        for _ in range(4):
            assert _serial_shown(pooler, house) == second.serial
        assert connection.execute("select 1").fetchone() == (1,)  # on its old session


def test_bad_file_leaves_the_last_good_one(make_pooler: MakePooler, house: House) -> None:
    own = house.issue_server(file="spoiled")
    pooler = make_pooler(1, **house.settings(own))
    own.certificate.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
    done = pooler.reload()
    assert done.returncode == 2
    assert f'general.tls_certificate: "{own.certificate}": not a certificate in PEM' in done.stderr
    assert _serial_shown(pooler, house) == own.serial
    own.certificate.unlink()
    assert "No such file" in pooler.reload().stderr
    assert _serial_shown(pooler, house) == own.serial


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("key", "the key does not fit the certificate"),
        ("swapped", "not a certificate in PEM"),
        ("authority", "no certificate in PEM"),
    ],
)
def test_start_refuses_files_that_do_not_fit(
    pg: PostgreSQL, house: House, wrong: str, words: str
) -> None:
    own, other = house.server, house.issue_server()
    if wrong == "key":
        own = Issued(own.certificate, other.key, 0)
    elif wrong == "swapped":
        own = Issued(own.key, own.certificate, 0)
    settings = house.settings(own)
    if wrong == "authority":
        empty = house.directory / "empty.pem"
        empty.write_text("nothing\n")
        settings["tls_ca_cert"] = str(empty)
    pooler = Pooler(pg, 1, None, **settings)
    try:
        pooler.write_config()
        for command in ("check", "start"):
            option = ["-c"] if command == "start" else []
            done = pooler.command(command, *option, str(pooler.config_path))
            assert done.returncode == 2, done.stderr
            assert words in done.stderr
    finally:
        pooler.release()
