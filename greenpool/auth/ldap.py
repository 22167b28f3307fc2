"""LDAP: a directory server checks the password, by letting the client's name log in with it.

    simple bind    the name is ldapprefix + user + ldapsuffix
    search+bind    a search under ldapbasedn finds the one entry of the user, which then logs in

Law: every step has a deadline of `TIMEOUT_S`, but it blocks: call this on a thread. Certificates of
the server are checked as libldap is configured (ldap.conf), as PostgreSQL does it.
Source: "Client Authentication > LDAP Authentication"; PostgreSQL `CheckLDAPAuth`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TIMEOUT_S = 5.0

_DEFAULT_PORTS = {"ldap": 389, "ldaps": 636}
_FORBIDDEN = "*()\\/"
"""What PostgreSQL refuses in a name that goes into a search filter."""


def ldap_verify(options: Mapping[str, str], user: str, password: str) -> str:
    """Check a password by a rule's options; return why it fails, empty if it fits. Blocks."""
    import ldap  # an optional package; the configuration was refused if it is missing

    if not password:  # a directory takes that as nobody, and lets nobody in
        return "an empty password"
    try:
        name = _name(ldap, options, user)
        _log_in(ldap, options, name, password).unbind_s()
    except _Refused as exc:
        return str(exc)
    except ldap.INVALID_CREDENTIALS:
        return "the directory refuses the password"
    except ldap.LDAPError as exc:
        return f"the directory cannot be asked: {_text(exc)}"
    return ""


class _Refused(Exception):
    """The directory has been asked, and the answer is no."""


def _name(ldap: Any, options: Mapping[str, str], user: str) -> str:
    """Return the name to log in by."""
    if "ldapbasedn" not in options:
        return options.get("ldapprefix", "") + user + options.get("ldapsuffix", "")
    if any(character in _FORBIDDEN for character in user):
        raise _Refused("invalid character in user name for LDAP authentication")
    binder = options.get("ldapbinddn", "")
    connection = _log_in(ldap, options, binder, options.get("ldapbindpasswd", ""))
    try:
        found = connection.search_s(
            options["ldapbasedn"], _scope(ldap, options), _filter(options, user), ["1.1"]
        )
    finally:
        connection.unbind_s()
    names = [name for name, _ in found if name is not None]  # None: a referral
    if len(names) != 1:
        raise _Refused(f"{len(names)} entries of the directory fit the user")
    return str(names[0])


def _scope(ldap: Any, options: Mapping[str, str]) -> Any:
    scopes = {
        "base": ldap.SCOPE_BASE,
        "one": ldap.SCOPE_ONELEVEL,
        "sub": ldap.SCOPE_SUBTREE,
    }
    return scopes[options.get("ldapscope", "sub")]


def _filter(options: Mapping[str, str], user: str) -> str:
    if "ldapsearchfilter" in options:
        return options["ldapsearchfilter"].replace("$username", user)
    return f"({options.get('ldapsearchattribute', 'uid')}={user})"


def _log_in(ldap: Any, options: Mapping[str, str], name: str, password: str) -> Any:
    """Connect and bind; the caller ends the connection."""
    connection = ldap.initialize(_uris(options))
    connection.set_option(ldap.OPT_PROTOCOL_VERSION, 3)
    connection.set_option(ldap.OPT_NETWORK_TIMEOUT, TIMEOUT_S)
    connection.set_option(ldap.OPT_TIMEOUT, TIMEOUT_S)
    connection.set_option(ldap.OPT_REFERRALS, 0)
    try:
        if options.get("ldaptls") == "1":
            connection.start_tls_s()
        connection.simple_bind_s(name, password)
    except ldap.LDAPError:
        connection.unbind_s()
        raise
    return connection


def _uris(options: Mapping[str, str]) -> str:
    """Return the addresses of all servers of `ldapserver`, which are tried in turn."""
    scheme = options.get("ldapscheme", "ldap")
    port = options.get("ldapport") or _DEFAULT_PORTS[scheme]
    return " ".join(f"{scheme}://{host}:{port}" for host in options["ldapserver"].split())


def _text(exc: Exception) -> str:
    """Return what libldap says, without what python-ldap wraps it in."""
    details = exc.args[0] if exc.args and isinstance(exc.args[0], dict) else {}
    return str(details.get("desc", type(exc).__name__))
