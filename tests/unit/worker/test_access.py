"""What a rule asks of a client, and what it says of certificates and of the other end's user."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace
from pathlib import Path

import gevent
import pytest

from greenpool.auth.client_auth import AuthMethod, AuthState
from greenpool.auth.hba.match import Request
from greenpool.auth.peer import Certificate, Peer, Transport, parse_address
from greenpool.auth.secret import prepare_secret
from greenpool.config import HbaMethod, load
from greenpool.protocol.errors import ClientError
from greenpool.worker import access
from greenpool.worker.access import Account
from greenpool.worker.surroundings import SystemSurroundings, user_of
from tests.unit.worker.fakes import FakedWorker, make_config, make_worker

ME = pwd.getpwuid(os.getuid()).pw_name
LOCAL = Peer(Transport.LOCAL, uid=os.getuid())
TLS = Peer(Transport.TLS, parse_address("10.0.0.1"), can_check_certificates=True)
ANN = replace(TLS, certificate=Certificate("ann", "CN=ann,O=Shop"))


def worker_with(directory: Path, hba: str, ident: str = "") -> FakedWorker:
    (directory / "pg_hba.conf").write_text(hba)
    (directory / "pg_ident.conf").write_text(ident)
    path = directory / "rules.yaml"
    path.write_text(
        "general: {pg_hba: {path: pg_hba.conf}, pg_ident: {path: pg_ident.conf}}\n"
        "pools: {app: {users: [{username: x}]}}"
    )
    general = load(path, {}).general
    worker = make_worker(make_config(directory))
    worker.config = replace(worker.config, general=general)
    return worker


def admit(worker: FakedWorker, peer: Peer, user: str = "ann") -> str:
    """Return the method that a client is asked by, or why it is refused unasked."""
    request = Request(peer, user, "shop")
    try:
        rule = access.admit(worker, request)
        access.demand(worker, rule, request, None)
        return rule.method.value
    except ClientError as exc:
        return f"{exc.message} ({exc.sqlstate})"


NO_CERTIFICATE = "connection requires a valid client certificate (28000)"
NO_AUTHORITY = (
    "client certificates can only be checked if a root certificate store is available (28000)"
)


def wrong_name(user: str) -> str:
    return f'certificate authentication failed for user "{user}" (28000)'


NOT_ANN = wrong_name("bob")


@pytest.mark.parametrize(
    ("options", "peer", "user", "answer"),
    [
        ("cert", ANN, "ann", "cert"),
        ("cert", ANN, "bob", NOT_ANN),
        ("cert", TLS, "ann", NO_CERTIFICATE),
        ("cert map=m", ANN, "bob", "cert"),
        ("cert map=m", ANN, "ann", wrong_name("ann")),
        ("cert map=d clientname=DN", ANN, "bob", "cert"),
        ("cert map=d", ANN, "bob", NOT_ANN),
        ("md5 clientcert=verify-ca", ANN, "bob", "md5"),
        ("md5 clientcert=verify-ca", TLS, "bob", NO_CERTIFICATE),
        ("md5 clientcert=verify-full", ANN, "bob", "md5"),
        (
            "trust clientcert=verify-full",
            ANN,
            "bob",
            '"trust" authentication failed for user "bob" (28000)',
        ),
        ("md5 clientcert=verify-full", ANN, "ann", "md5"),
        (
            "cert",
            replace(TLS, can_check_certificates=False),
            "ann",
            NO_AUTHORITY,
        ),
        ("cert", replace(ANN, certificate=Certificate("", "O=Shop")), "", wrong_name("")),
    ],
)
def test_certificate(tmp_path, options, peer, user, answer):
    ident = 'm ann bob\nd "CN=ann,O=Shop" bob\n'
    worker = worker_with(tmp_path, f"hostssl all all all {options}", ident)
    assert admit(worker, peer, user) == answer


@pytest.mark.parametrize("kept", ["right", "md5" + "0" * 32])
@pytest.mark.parametrize(("user", "fits"), [("ann", True), ("bob", False)])
def test_password_does_not_do_beside_another_s_certificate(tmp_path, kept, user, fits):
    worker = worker_with(tmp_path, "hostssl all all all password clientcert=verify-full")
    request = Request(ANN, user, "shop")
    secret = prepare_secret(kept, user, worker.boot_secret, worker.keys)
    account = Account(HbaMethod.MD5, lambda: secret)
    demand = access.demand(worker, access.admit(worker, request), request, account)
    exchange = access.exchange(worker, request, demand)
    exchange.start()
    password = b"right\0"
    message = b"p" + (4 + len(password)).to_bytes(4, "big") + password
    if fits and kept == "right":
        exchange.feed(message)
        assert exchange.state is AuthState.SUCCEEDED
    else:
        with pytest.raises(ClientError, match=f'password authentication failed for user "{user}"'):
            exchange.feed(message)


def test_peer_is_who_the_system_says(tmp_path):
    worker = worker_with(tmp_path, "local all all peer map=m", f"m {ME} bob")
    for user, fits in (("bob", True), (ME, False)):
        request = Request(LOCAL, user, "shop")
        rule = access.admit(worker, request)
        if fits:
            demand = access.demand(worker, rule, request, None)
            assert demand.method is AuthMethod.TRUST
        else:
            with pytest.raises(ClientError, match="Peer authentication failed"):
                access.demand(worker, rule, request, None)


def test_peer_without_a_name_is_refused(tmp_path):
    worker = worker_with(tmp_path, "local all all peer")
    request = Request(replace(LOCAL, uid=2**31 - 5), "bob", "shop")
    with pytest.raises(ClientError, match="Peer authentication failed"):
        access.demand(worker, access.admit(worker, request), request, None)


def first_question(worker: FakedWorker, account: Account | None) -> bytes:
    request = Request(LOCAL, "cyd", "shop")
    demand = access.demand(worker, access.admit(worker, request), request, account)
    assert demand.is_doomed == (account is None)
    return access.exchange(worker, request, demand).start()[5:9]


TRUST, CLEARTEXT, MD5, SASL = (bytes((0, 0, 0, code)) for code in (0, 3, 5, 10))


@pytest.mark.parametrize(
    ("method", "secret", "question"),
    [
        ("trust", "hash", TRUST),
        ("password", "hash", CLEARTEXT),
        ("md5", "hash", MD5),
        ("md5", "plain", SASL),
        ("md5", None, SASL),
        ("scram-sha-256", "hash", SASL),
        ("scram-sha-256", None, SASL),
        ("password", None, CLEARTEXT),
        ("trust", None, TRUST),
    ],
)
def test_method_and_secret_make_the_question(tmp_path, method, secret, question):
    worker = worker_with(tmp_path, f"local all all {method}")
    texts = {"hash": "md5" + "0" * 32, "plain": "builder"}
    prepared = prepare_secret(texts[secret], "cyd", b"k") if secret else None
    account = Account(HbaMethod.MD5, lambda: prepared) if secret else None
    assert first_question(worker, account) == question


def test_trust_does_not_mean_an_admin_with_a_password(tmp_path):
    worker = worker_with(tmp_path, "local all all trust")
    admin = access.admin_account(make_worker(make_config(tmp_path)))
    assert first_question(worker, admin) == SASL
    assert first_question(worker, access.admin_account(worker)) == TRUST  # it has none


def test_the_system_knows_its_own_addresses_and_names():
    threads = gevent.get_hub().threadpool
    surroundings = SystemSurroundings(threads)
    networks = {str(address): network for address, network in surroundings.interfaces()}
    assert networks["127.0.0.1"].mask == 0xFF000000
    assert parse_address("127.0.0.1") in surroundings.addresses("localhost")
    assert surroundings.addresses("no-such-host.invalid") == set()
    assert surroundings.addresses("x" * 64 + ".invalid") == set()
    assert surroundings.host_name(parse_address("192.0.2.77")) is None
    assert user_of(0, threads) == "root"
    assert user_of(2**31 - 5, threads) is None
