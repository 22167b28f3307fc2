"""From lines to rules: what each field may say, and how a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenpool.config.hba.options import OPTIONS
from greenpool.config.hba.parse import no_rules, parse_hba
from greenpool.config.hba.rule import (
    AddressKeyword,
    ConnectionType,
    HbaMethod,
    HbaRule,
    HostName,
    NameKind,
    NamePattern,
    Network,
)
from greenpool.config.hba.tokens import LineReader

HERE = Path("/nowhere")


def parse(text: str) -> tuple[tuple[HbaRule, ...], list[str]]:
    reader = LineReader()
    rules = parse_hba(reader.read_text(text, HERE), HERE, reader.complaints)
    return rules, [f"{mark.line}:{mark.column}: {what}" for mark, what in reader.complaints]


def rule(text: str) -> HbaRule:
    rules, complaints = parse(text)
    assert not complaints
    [only] = rules
    return only


def complaint(text: str) -> str:
    rules, complaints = parse(text)
    assert not rules
    [only] = complaints
    return only


def test_fields_of_a_rule():
    found = rule('hostssl all,"all",Shop bob,/^x+$ 10.1.2.3/8 cert map=m clientname=DN')
    assert found.type is ConnectionType.HOSTSSL
    assert [(each.kind, each.text) for each in found.databases] == [
        (NameKind.ALL, "all"),
        (NameKind.LITERAL, "all"),
        (NameKind.LITERAL, "Shop"),
    ]
    assert found.users[0] == NamePattern(NameKind.LITERAL, "bob")
    assert found.users[1].regex is not None
    assert found.address == Network(4, 0x0A010203, 0xFF000000)
    assert found.method is HbaMethod.CERT
    assert dict(found.options) == {"map": "m", "clientname": "DN"}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("all", AddressKeyword.ALL),
        ("samehost", AddressKeyword.SAMEHOST),
        ("samenet", AddressKeyword.SAMENET),
        ('"all"', HostName("all")),
        ("0.0.0.0/0", Network(4, 0, 0)),
        ("10.0.0.1/32", Network(4, 0x0A000001, 0xFFFFFFFF)),
        ("10.0.0.1 255.0.255.0", Network(4, 0x0A000001, 0xFF00FF00)),
        ("::1/128", Network(6, 1, (1 << 128) - 1)),
        ("fe80:: ffff::", Network(6, 0xFE80 << 112, 0xFFFF << 112)),
        ("::/0", Network(6, 0, 0)),
        ("DB.example.org", HostName("db.example.org")),
        (".example.org", HostName(".example.org")),
    ],
)
def test_addresses(text, address):
    assert rule(f"host all all {text} trust").address == address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hots all all all md5", '1:1: invalid connection type "hots" (did you mean "host"?)'),
        ("local,host all all md5", "1:7: multiple values specified for connection type (specify "
         "exactly one connection type per line)"),
        ("hostgssenc all all all md5", '1:1: "hostgssenc" is not supported: greenpool speaks no '
         "GSSAPI encryption"),
        ("local", "1:1: end-of-line before database specification"),
        ("local all", "1:7: end-of-line before role specification"),
        ("host all all", "1:10: end-of-line before IP address specification"),
        ("local all all", "1:11: end-of-line before authentication method"),
        ("host all all 10.0.0.1", "1:14: end-of-line before netmask specification (specify an "
         "address range in CIDR notation, or provide a separate netmask)"),
        ("host all all 10.0.0.1 md5", '1:23: invalid IP mask "md5"'),
        ("host all all 10.0.0.1 ffff:: md5", "1:23: IP address and mask do not match"),
        ("host all all 10.0.0.1/33 md5", '1:14: invalid CIDR mask in address "10.0.0.1/33"'),
        ("host all all 10.0.0.256/8 md5", '1:14: invalid IP address "10.0.0.256"'),
        ("host all all 10.1 255.0.0.0 md5", '1:14: invalid IP address "10.1"'),
        ("host all all a.b/8 md5", '1:14: specifying both host name and CIDR mask is invalid: '
         '"a.b/8"'),
        ("host all all a!b md5", '1:14: "a!b" is neither an address nor a host name'),
        ("local samerole all md5", '1:7: "samerole" is not supported: greenpool does not know '
         "who is a member of a role"),
        ("local all +staff md5", '1:11: "+staff" is not supported: greenpool does not know who '
         "is a member of a role (list the users, or use a regular expression)"),
        ("local all /( md5", '1:11: invalid regular expression "(": missing ), unterminated '
         "subpattern at position 0"),
        ("local all /[[:alpha:]] md5", '1:11: invalid regular expression "[[:alpha:]]": possible '
         "nested set at position 1"),
        ("local all all scram-sha256", '1:15: invalid authentication method "scram-sha256" (did '
         'you mean "scram-sha-256"?)'),
        ("local all all gss", '1:15: authentication method "gss" is not supported'),
        ("local all all by", '1:15: invalid authentication method "by"'),
        ('local all all "by secret"', '1:15: invalid authentication method "by secret"'),
        ("host all all all ident", '1:18: authentication method "ident" is not supported'),
        ("host all all all peer", "1:18: peer authentication is only supported on local sockets"),
        ("host all all all cert", "1:18: cert authentication is only supported on hostssl "
         "connections"),
        ("local all all md5 md5", "1:19: authentication option not in name=value format"),
        ("local all all md5 mpa=x", '1:19: unrecognized authentication option name: "mpa" (did '
         'you mean "map"?)'),
        ("local all all md5 map=x", '1:19: authentication option "map" is only valid for '
         "authentication methods cert, jwt, peer"),
        ("local all all peer map=", '1:20: authentication option "map" is empty'),
        ("host all all all md5 clientcert=verify-ca", '1:22: "clientcert" can only be configured '
         'for "hostssl" rows'),
        ("hostssl all all all md5 clientcert=1", '1:25: authentication option "clientcert" is "1"; '
         'it can be "verify-ca" or "verify-full"'),
        ("hostssl all all all cert clientcert=verify-ca", "1:26: clientcert only accepts "
         '"verify-full" when using "cert" authentication'),
        ("local all all ldap ldapport=0 ldapserver=x", '1:20: authentication option "ldapport" is '
         '"0", which is no port'),
        ("local all all ldap ldapserver=x", '1:1: authentication method "ldap" requires argument '
         '"ldapbasedn", "ldapprefix", or "ldapsuffix" to be set'),
        ("local all all ldap ldapprefix=x", '1:1: authentication method "ldap" requires argument '
         '"ldapserver" to be set'),
        ("local all all ldap ldapserver=x ldapprefix=y ldapbasedn=z", "1:1: cannot mix options for "
         "simple bind and search+bind modes"),
        ("local all all ldap ldapserver=x ldapbasedn=z ldapsearchattribute=a ldapsearchfilter=b",
         "1:1: cannot use ldapsearchattribute together with ldapsearchfilter"),
        ("local all all ldap ldapurl=http://x/y", '1:1: unsupported LDAP URL scheme: "http"'),
        ("local all all ldap ldapurl=ldap://x/y?a?far", '1:1: invalid scope "far" in LDAP URL'),
        ("local all all jwt jwt_key=key", '1:1: cannot read "/nowhere/key": No such file or '
         "directory"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text, expected):
    assert complaint(text) == expected


def test_all_wrong_lines_are_told_and_the_others_read():
    rules, complaints = parse("x\nlocal all all trust\nlocal all all\n")
    assert len(rules) == 1
    assert [each.split(":")[0] for each in complaints] == ["1", "3"]


def test_ident_on_a_local_socket_is_peer():
    assert rule("local all all ident map=x").method is HbaMethod.PEER


def test_ldap_url_is_taken_apart():
    url = "ldaps://ldap.example.net:6636/dc=example,dc=net??sub?(ou=%2A)"
    assert dict(rule(f'local all all ldap "ldapurl={url}"').options) == {
        "ldapscheme": "ldaps",
        "ldapserver": "ldap.example.net",
        "ldapport": "6636",
        "ldapbasedn": "dc=example,dc=net",
        "ldapsearchfilter": "(ou=*)",
        "ldapscope": "sub",
    }
    both = complaint(f'local all all ldap "ldapurl={url.replace("??", "?uid?")}"')
    assert both == "1:1: cannot use ldapsearchattribute together with ldapsearchfilter"


def test_options_are_in_no_repr():
    text = "local all all ldap ldapserver=x ldapbasedn=y ldapbindpasswd=hush"
    assert "hush" not in repr(rule(text))


def test_without_rules_the_secret_decides_for_all_or_for_networks():
    local, host = no_rules()
    assert (local.type, local.address, local.method) == ("local", None, HbaMethod.BY_SECRET)
    assert (host.type, host.address) == ("host", AddressKeyword.ALL)
    _, first, second = no_rules(("10.0.0.0/8", "::1/128"))
    assert first.address == Network(4, 0x0A000000, 0xFF000000)
    assert second.address == Network(6, 1, (1 << 128) - 1)


WORDS = st.sampled_from(
    [
        *("local", "host", "hostssl", "hostnossl", "all", '"all"', "sameuser", "+x", "/a(", "/a"),
        *("10.0.0.0/8", "10.0.0.0", "255.0.0.0", "::/0", "h.example", "md5", "peer", "ldap", "jwt"),
        *(f"{name}=x" for name in OPTIONS),
        *("ldapurl=ldap://[", "ldapurl=ldap://a:99999/b", "\\\n", "\n", ",", '"', "#", "@x"),
    ]
)


@settings(max_examples=500)
@given(st.lists(WORDS | st.text(max_size=3), max_size=14))
def test_any_text_gives_rules_or_complaints(words):
    text = " ".join(words)
    rules, complaints = parse(text)
    assert len(rules) + len(complaints) <= 2 * (text.count("\n") + 1) + len(words)
    for each in rules:
        assert each.databases
        assert each.users
        assert (each.address is None) == (each.type is ConnectionType.LOCAL)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r\\/"), min_size=1)


@given(NAMES)
def test_names_are_written_as_they_can_be_read(name):
    pattern = NamePattern(NameKind.LITERAL, name)
    assert rule(f"local {pattern} {pattern} trust").databases == (pattern,)
