"""Which rule speaks of a client: the first that fits its transport, names and address."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from greenpool.auth.hba.match import Interface, Request, find_rule, no_entry, rejected
from greenpool.auth.peer import IpAddress, Peer, Transport, parse_address
from greenpool.config import HbaRules, Network, load
from greenpool.protocol.startup import Replication

LOCAL = Peer(Transport.LOCAL, uid=1000)


def tcp(address: str) -> Peer:
    return Peer(Transport.TCP, parse_address(address))


def tls(address: str) -> Peer:
    return Peer(Transport.TLS, parse_address(address))


class Known:
    """Names and addresses that a test gives; what is asked for is counted."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.names = {"10.0.0.1": "db.example.org", "10.0.0.2": "liar.example.org"}
        self.forward = {"db.example.org": ["10.0.0.1"], "liar.example.org": ["10.0.0.9"]}

    def interfaces(self) -> Iterable[Interface]:
        self.asked.append("interfaces")
        own = parse_address("192.168.1.5")
        return [(own, Network(4, int(own), 0xFFFFFF00))]

    def host_name(self, address: IpAddress) -> str | None:
        self.asked.append(str(address))
        return self.names.get(str(address))

    def addresses(self, name: str) -> Iterable[IpAddress]:
        self.asked.append(name)
        return [parse_address(each) for each in self.forward[name]]


@pytest.fixture
def rules(tmp_path: Path):
    def read(text: str) -> HbaRules:
        (tmp_path / "pg_hba.conf").write_text(text)
        path = tmp_path / "greenpool.yaml"
        path.write_text(
            "general: {pg_hba: {path: pg_hba.conf}}\npools: {app: {users: [{username: x}]}}"
        )
        return load(path, {}).general.access_rules

    return read


def line_for(rules: HbaRules, request: Request, known: Known | None = None) -> int | None:
    rule = find_rule(rules, request, known or Known())
    return None if rule is None else rule.mark.line


TRANSPORTS = """local all all trust
hostssl all all all trust
hostnossl all all 10.0.0.0/8 trust
host all all all trust
"""


@pytest.mark.parametrize(
    ("peer", "line"),
    [(LOCAL, 1), (tls("10.0.0.1"), 2), (tcp("10.0.0.1"), 3), (tcp("11.0.0.1"), 4)],
)
def test_transport_and_order_decide(rules, peer, line):
    assert line_for(rules(TRANSPORTS), Request(peer, "ann", "shop")) == line


@pytest.mark.parametrize(
    ("names", "user", "database", "fits"),
    [
        ("all all", "ann", "shop", True),
        ('"all" all', "ann", "shop", False),
        ('"all" all', "ann", "all", True),
        ("shop,till ann,bob", "bob", "till", True),
        ("shop ann", "ann", "Shop", False),
        ("sameuser all", "ann", "ann", True),
        ("sameuser all", "ann", "shop", False),
        ("replication all", "ann", "replication", False),
        ('"replication" all', "ann", "replication", True),
        ("/^sh all", "ann", "shop", True),
        ("/^op all", "ann", "shop", False),
        ("/op$ all", "ann", "shop", True),
        ("/op$ all", "ann", "shop\n", False),
        ("/[$]op all", "ann", "$op", True),
        (r"/\$op all", "ann", "$op", True),
        ("/a.c all", "ann", "a\nc", True),
        ('"/^a{1,2}$" all', "ann", "aa", True),
        ("all /^(ann|bob)$", "bob", "shop", True),
        ("all /^(ann|bob)$", "bobby", "shop", False),
    ],
)
def test_names(rules, names, user, database, fits):
    found = line_for(rules(f"local {names} trust"), Request(LOCAL, user, database))
    assert (found == 1) is fits


@pytest.mark.parametrize(
    ("address", "peer", "fits"),
    [
        ("10.0.0.0/8", "10.255.0.1", True),
        ("10.9.9.9/8", "10.255.0.1", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.0.0.0 255.0.255.0", "10.77.0.5", True),
        ("0.0.0.0/0", "::1", False),
        ("::/0", "127.0.0.1", False),
        ("::1/128", "::1", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("all", "::1", True),
        ("samehost", "192.168.1.5", True),
        ("samehost", "192.168.1.6", False),
        ("samenet", "192.168.1.6", True),
        ("samenet", "192.168.2.5", False),
        ("db.example.org", "10.0.0.1", True),
        ("DB.Example.org", "10.0.0.1", True),
        (".example.org", "10.0.0.1", True),
        ("example.org", "10.0.0.1", False),
        (".db.example.org", "10.0.0.1", False),
        ("db.example.org", "10.0.0.3", False),
        ("liar.example.org", "10.0.0.2", False),
    ],
)
def test_addresses(rules, address, peer, fits):
    found = line_for(rules(f"host all all {address} trust"), Request(tcp(peer), "ann", "shop"))
    assert (found == 1) is fits


def test_nobody_is_asked_before_a_rule_needs_it(rules):
    known = Known()
    text = "local all all trust\nhost all bob samenet trust\nhost all all ::/0 trust\n"
    text += "host all all 10.0.0.0/8 trust\nhost all all db.example.org trust"
    assert line_for(rules(text), Request(tcp("10.0.0.1"), "ann", "shop"), known) == 4
    assert known.asked == []


def test_physical_replication_needs_its_keyword(rules):
    request = Request(LOCAL, "ann", "ann", Replication.PHYSICAL)
    assert line_for(rules("local all all trust"), request) is None
    assert line_for(rules("local replication all trust"), request) == 1
    logical = Request(LOCAL, "ann", "shop", Replication.LOGICAL)
    assert line_for(rules("local all all trust"), logical) == 1


@pytest.mark.parametrize(
    ("make", "request_", "message"),
    [
        (no_entry, Request(tcp("10.0.0.1"), "u", "d"), 'no pg_hba.conf entry for host "10.0.0.1", '
         'user "u", database "d", no encryption'),
        (no_entry, Request(LOCAL, "u", "d"), 'no pg_hba.conf entry for host "[local]", user "u", '
         'database "d", no encryption'),
        (no_entry, Request(tls("::1"), "u", "d", Replication.PHYSICAL), "no pg_hba.conf entry for "
         'replication connection from host "::1", user "u", SSL encryption'),
        (rejected, Request(tls("::1"), "u", "d"), 'pg_hba.conf rejects connection for host "::1", '
         'user "u", database "d", SSL encryption'),
        (rejected, Request(LOCAL, "u", "d", Replication.PHYSICAL), "pg_hba.conf rejects "
         'replication connection for host "[local]", user "u", no encryption'),
    ],
)  # fmt: skip
def test_refusals_are_postgresql_s(make, request_, message):
    error = make(request_)
    assert (error.severity, error.sqlstate, error.message) == ("FATAL", "28000", message)
