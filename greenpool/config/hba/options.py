"""The options behind a rule's method: a table of names, whose they are, and what they may say.

Law: an option that has no effect in its place is refused, as PostgreSQL refuses it.
Source: "Client Authentication > LDAP Authentication", "> PAM", "> Certificate Authentication".
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from greenpool.config.frozen_map import FrozenMap
from greenpool.config.hba.patterns import Wrong
from greenpool.config.hba.rule import ConnectionType, HbaMethod
from greenpool.config.hba.tokens import Token
from greenpool.config.kinds import did_you_mean
from greenpool.config.tree import Mark

_MAPPED = frozenset((HbaMethod.PEER, HbaMethod.CERT, HbaMethod.JWT))
_SIMPLE_BIND = ("ldapprefix", "ldapsuffix")
_SEARCH = ("ldapbasedn", "ldapbinddn", "ldapbindpasswd", "ldapsearchattribute", "ldapsearchfilter")
_URL_SCOPES = {"": "base", "base": "base", "one": "one", "sub": "sub"}


@dataclass(frozen=True, slots=True)
class _Option:
    """`methods` None: any, on hostssl lines only. `check` says what is wrong with a value."""

    methods: frozenset[HbaMethod] | None
    check: Callable[[str], str] = lambda value: "" if value else "is empty"


def _one_of(*words: str) -> Callable[[str], str]:
    known = " or ".join(f'"{word}"' for word in words)
    return lambda value: "" if value in words else f'is "{value}"; it can be {known}'


def _port(value: str) -> str:
    is_port = re.fullmatch("[0-9]{1,5}", value) and 0 < int(value) < 65536
    return "" if is_port else f'is "{value}", which is no port'


def _anything(_value: str) -> str:
    return ""


def _of(method: HbaMethod, check: Callable[[str], str] | None = None) -> _Option:
    methods = frozenset((method,))
    return _Option(methods, check) if check else _Option(methods)


OPTIONS: Mapping[str, _Option] = {
    "map": _Option(_MAPPED),
    "clientcert": _Option(None, _one_of("verify-ca", "verify-full")),
    "clientname": _Option(None, _one_of("CN", "DN")),
    "pamservice": _of(HbaMethod.PAM),
    "ldapurl": _of(HbaMethod.LDAP),
    "ldaptls": _of(HbaMethod.LDAP, _one_of("0", "1")),
    "ldapscheme": _of(HbaMethod.LDAP, _one_of("ldap", "ldaps")),
    "ldapserver": _of(HbaMethod.LDAP),
    "ldapport": _of(HbaMethod.LDAP, _port),
    "ldapbinddn": _of(HbaMethod.LDAP, _anything),
    "ldapbindpasswd": _of(HbaMethod.LDAP, _anything),
    "ldapsearchattribute": _of(HbaMethod.LDAP),
    "ldapsearchfilter": _of(HbaMethod.LDAP),
    "ldapbasedn": _of(HbaMethod.LDAP),
    "ldapprefix": _of(HbaMethod.LDAP, _anything),
    "ldapsuffix": _of(HbaMethod.LDAP, _anything),
    "jwt_key": _of(HbaMethod.JWT),
    "jwt_audience": _of(HbaMethod.JWT),
    "jwt_issuer": _of(HbaMethod.JWT),
    "jwt_user_claim": _of(HbaMethod.JWT),
}
_PACKAGES = {HbaMethod.LDAP: ("ldap", "python-ldap"), HbaMethod.PAM: ("pam", "python-pam")}
"""Modules that some methods need, and the packages they are in: extras of greenpool's own."""

SECRET_OPTIONS = frozenset(("ldapbindpasswd",))


def missing_package(method: HbaMethod) -> str:
    """Say what must be installed before a method can be used; empty: nothing."""
    module, package = _PACKAGES.get(method, ("", ""))
    if not module or importlib.util.find_spec(module) is not None:
        return ""
    return f'"{method}" needs the package {package}: pip install "greenpool[{method}]"'


def read_options(
    tokens: Iterable[Token], connection: ConnectionType, method: HbaMethod, place: Mark
) -> Mapping[str, str]:
    """Read what follows the method; `place` is to blame for what is missing. Raises: Wrong."""
    options: dict[str, str] = {}
    for token in tokens:
        name, equals, value = token.text.partition("=")
        if not equals:
            # Not shown: it may be the end of a password with a blank in it.
            raise Wrong(token.mark, "authentication option not in name=value format")
        _check_option(token, name, value, connection, method)
        options[name] = value
    if method is HbaMethod.LDAP:
        _assemble_ldap(options, place)
    return FrozenMap(options)


def _check_option(
    token: Token, name: str, value: str, connection: ConnectionType, method: HbaMethod
) -> None:
    option = OPTIONS.get(name)
    if option is None:
        what = f'unrecognized authentication option name: "{name}"'
        raise Wrong(token.mark, what + did_you_mean(name, OPTIONS))
    if option.methods is None and connection is not ConnectionType.HOSTSSL:
        raise Wrong(token.mark, f'"{name}" can only be configured for "hostssl" rows')
    if option.methods is not None and method not in option.methods:
        methods = ", ".join(sorted(option.methods))
        what = f'authentication option "{name}" is only valid for authentication methods {methods}'
        raise Wrong(token.mark, what)
    if name == "clientcert" and method is HbaMethod.CERT and value == "verify-ca":
        what = 'clientcert only accepts "verify-full" when using "cert" authentication'
        raise Wrong(token.mark, what)
    if wrong := option.check(value):
        raise Wrong(token.mark, f'authentication option "{name}" {wrong}')


def _assemble_ldap(options: dict[str, str], place: Mark) -> None:
    """Take an URL apart, and check that one of the two ways to bind is meant."""
    if "ldapurl" in options:
        _take_url_apart(options, place)
    is_simple = any(name in options for name in _SIMPLE_BIND)
    if is_simple and any(name in options for name in _SEARCH):
        raise Wrong(place, "cannot mix options for simple bind and search+bind modes")
    if not is_simple and "ldapbasedn" not in options:
        what = (
            'authentication method "ldap" requires argument "ldapbasedn", "ldapprefix", or '
            '"ldapsuffix" to be set'
        )
        raise Wrong(place, what)
    if "ldapsearchattribute" in options and "ldapsearchfilter" in options:
        raise Wrong(place, "cannot use ldapsearchattribute together with ldapsearchfilter")
    if not options.get("ldapserver"):
        raise Wrong(place, 'authentication method "ldap" requires argument "ldapserver" to be set')


def _take_url_apart(options: dict[str, str], place: Mark) -> None:
    """Put the parts of ldap[s]://host[:port]/basedn[?attribute][?scope][?filter] in their options.

    The scope becomes the option `ldapscope`, which no file can name.
    """
    url = options.pop("ldapurl")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Wrong(place, f"could not parse LDAP URL: {error}") from error
    if parts.scheme not in ("ldap", "ldaps"):
        raise Wrong(place, f'unsupported LDAP URL scheme: "{parts.scheme}"')
    attribute, scope, search = (*parts.query.split("?", 2), "", "", "")[:3]
    if scope not in _URL_SCOPES:
        raise Wrong(place, f'invalid scope "{scope}" in LDAP URL')
    found = {
        "ldapscheme": parts.scheme,
        "ldapserver": parts.hostname or "",
        "ldapport": str(port or ""),
        "ldapbasedn": unquote(parts.path.removeprefix("/")),
        "ldapsearchattribute": unquote(attribute),
        "ldapsearchfilter": unquote(search),
    }
    options.update({name: value for name, value in found.items() if value})
    options["ldapscope"] = _URL_SCOPES[scope]
