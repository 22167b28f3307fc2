"""Who may come in, and what they must show: the rules of pg_hba applied to one client.

    Request --admit--> the rule that speaks of it, or its refusal
                          |
                       demand --> what it must show: C asks for it (planning.py), or ...
                          |
                      exchange --> ClientAuthenticator, which the session runs

Law: a rule decides alone, whether its user exists or not; what does not exist meets the same
exchange as what does, and fails at its end. Nothing here blocks the hub.
Source: PostgreSQL `ClientAuthentication`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from greenpool.auth.client_auth import AuthMethod, Check, ClientAuthenticator
from greenpool.auth.hba.match import Request, find_rule, no_entry, rejected
from greenpool.auth.hba.usermap import may_be
from greenpool.auth.jwt import TokenDemands, TokenVerdict, jwt_verify
from greenpool.auth.ldap import ldap_verify
from greenpool.auth.pam import DEFAULT_SERVICE, pam_verify
from greenpool.auth.secret import Md5Hash, Secret, prepare_secret
from greenpool.config import AddressKeyword, HbaMethod, HbaRule, HostName, JwtKeys
from greenpool.observe import events
from greenpool.protocol.errors import (
    ClientError,
    Severity,
    SqlState,
    authentication_failed,
)
from greenpool.worker.surroundings import SystemSurroundings, user_of

if TYPE_CHECKING:
    from greenpool.worker.lookup import Answer
    from greenpool.worker.pools import Verifier
    from greenpool.worker.state import Worker

log = logging.getLogger(__name__)

_Check: TypeAlias = "Callable[[Worker, HbaRule, Request, Account | None, str], None]"


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of a user that exists. `own` is its method where no pg_hba names one.

    `is_never_trusted`: a rule that trusts everybody does not mean this user, who is asked for the
    password all the same.
    """

    own: HbaMethod
    secret: Callable[[], Secret | None] = field(repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    jwt_keys: JwtKeys | None = None
    is_never_trusted: bool = False


@dataclass(frozen=True, slots=True)
class Demand:
    """What a client must show. `check`: whom its password is for, if it is not `secret` that tells.

    `is_doomed`: there is no such user, and it fails in the end.
    """

    method: AuthMethod
    secret: Secret | None = field(repr=False)
    check: Check | None
    is_doomed: bool


def is_repeatable(rules: Iterable[HbaRule], rule: HbaRule) -> bool:
    """Whether `rule`, the first to fit, will also be that of the next client that is like this one.

    Not so when names are looked up or this machine's addresses, or who has the other end.
    """
    if rule.method is HbaMethod.PEER:
        return False
    fickle = (AddressKeyword.SAMEHOST, AddressKeyword.SAMENET)
    return not any(isinstance(each.address, HostName) or each.address in fickle for each in rules)


def admit(worker: Worker, request: Request) -> HbaRule:
    """Return the rule that speaks of a client. Switches: if a rule names a host.

    Raises: ClientError if there is none, if it rejects, or if it wants a certificate.
    """
    rules = worker.config.general.access_rules
    rule = find_rule(rules, request, SystemSurroundings(worker.authorities))
    if rule is None:
        raise no_entry(request)
    if rule.method is HbaMethod.REJECT:
        raise rejected(request)
    if "clientcert" in rule.options or rule.method is HbaMethod.CERT:
        _require_certificate(request)
    return rule


def account_of(worker: Worker, verifier: Verifier) -> Account:
    """Return what is known of a user of the configuration."""
    user = verifier.user

    def secret() -> Secret | None:
        return worker.secret_of(verifier)

    if user.auth_pam_service is not None:
        return Account(HbaMethod.PAM, secret, {"pamservice": user.auth_pam_service})
    if user.auth_ldap is not None:
        return Account(HbaMethod.LDAP, secret, user.auth_ldap)
    if isinstance(user.password, JwtKeys):
        return Account(HbaMethod.JWT, secret, jwt_keys=user.password)
    return Account(HbaMethod.TRUST if user.is_trusting else HbaMethod.MD5, secret)


def found_account(answer: Answer) -> Account:
    """Return what is known of a user whom auth_query has found; nobody is trusted by it."""
    return Account(HbaMethod.MD5, lambda: answer.secret)


def admin_account(worker: Worker) -> Account:
    """Return what is known of the admin: one with a password is asked for it whatever the rule."""
    general = worker.config.general
    if not general.admin_password:
        return Account(HbaMethod.TRUST, lambda: None)
    return _console_account(worker, general.admin_username, general.admin_password)


def stats_account(worker: Worker, name: str) -> Account | None:
    """Return what is known of a user who may look at the console; None: nobody is called so."""
    for user in worker.config.general.stats_users:
        if user.username == name:
            return _console_account(worker, name, user.password)
    return None


def _console_account(worker: Worker, name: str, password: str) -> Account:
    """Return what is known of somebody whom no rule lets in without the password."""

    def secret() -> Secret:
        iterations = worker.auth.iterations
        return prepare_secret(password, name, worker.boot_secret, worker.keys, iterations)

    return Account(HbaMethod.MD5, secret, is_never_trusted=True)


def demand(worker: Worker, rule: HbaRule, request: Request, account: Account | None) -> Demand:
    """Return what this client must show; `account` None: it does not exist.

    Switches: yes. Raises: ClientError if it need not be asked anything to be refused.
    """
    method = _method(rule, account)
    check: Check | None = None
    if method is HbaMethod.PEER:
        _check_peer(worker, rule, request)
    secret = account.secret() if account is not None and method in _SECRET_METHODS else None
    if method in _CHECKS:
        check = partial(_CHECKS[method], worker, rule, request, account)
    if not _is_named_by_certificate(worker, rule, request):
        secret, check = _doom(method, request, secret)
    return Demand(_EXCHANGES[method], secret, check, account is None)


def exchange(worker: Worker, request: Request, wanted: Demand) -> ClientAuthenticator:
    """Return the exchange in which this client shows it, where Python runs that."""
    arguments = (wanted.method, request.user, wanted.secret, worker.auth)
    return ClientAuthenticator(*arguments, wanted.check, request.peer.binding)


def _method(rule: HbaRule, account: Account | None) -> HbaMethod:
    """Return what the rule's method means for this user.

    Where a password is asked for, whoever keeps the user's password is asked about it.
    """
    if account is None:
        is_by_secret = rule.method is HbaMethod.BY_SECRET
        return HbaMethod.SCRAM_SHA_256 if is_by_secret else rule.method
    if rule.method is HbaMethod.BY_SECRET:
        return account.own
    if rule.method is HbaMethod.TRUST and account.is_never_trusted:
        return account.own
    if rule.method in (HbaMethod.MD5, HbaMethod.PASSWORD) and account.own in _CHECKS:
        return account.own
    return rule.method


def _check_pam(
    worker: Worker, rule: HbaRule, request: Request, account: Account | None, password: str
) -> None:
    options = _options(rule, account)
    service = options.get("pamservice", DEFAULT_SERVICE)
    why = worker.authorities.apply(pam_verify, (service, request.user, password))
    _conclude("PAM", request, why)


def _check_ldap(
    worker: Worker, rule: HbaRule, request: Request, account: Account | None, password: str
) -> None:
    options = _options(rule, account)
    why = worker.authorities.apply(ldap_verify, (options, request.user, password))
    _conclude("LDAP", request, why)


def _check_jwt(
    worker: Worker, rule: HbaRule, request: Request, account: Account | None, password: str
) -> None:
    """Check a token by the rule's key, or by the user's own."""
    keys = rule.jwt_keys or (account.jwt_keys if account else None)
    if keys is None:
        raise _failed("JWT", request, "there is no key to check it with")
    demands = TokenDemands.of(rule.options)
    verdict: TokenVerdict = worker.threads.apply(jwt_verify, (password, keys, demands))
    _conclude("JWT", request, verdict.reason)
    if not _may_be(worker, rule, request, verdict.user):
        raise authentication_failed("JWT", request.user)


def _options(rule: HbaRule, account: Account | None) -> Mapping[str, str]:
    """Return the options of the method: the rule's if it names that, otherwise the user's own."""
    return rule.options if rule.method in _CHECKS or account is None else account.options


def _conclude(method: str, request: Request, why: str) -> None:
    """Raise if there is a reason why the client is not who it says."""
    if why:
        raise _failed(method, request, why)


def _failed(method: str, request: Request, why: str) -> ClientError:
    """Log why; the client is told no more than that it failed."""
    _unproven(request, why)
    return authentication_failed(method, request.user)


def _unproven(request: Request, why: str) -> None:
    events.CLIENT_UNPROVEN.tell(log, user=request.user, host=request.peer.host, why=why)


_CHECKS: Mapping[HbaMethod, _Check] = {
    HbaMethod.PAM: _check_pam,
    HbaMethod.LDAP: _check_ldap,
    HbaMethod.JWT: _check_jwt,
}
# What PostgreSQL calls the methods that do not compare secrets, where they fail.
_NAMES: Mapping[HbaMethod, str] = {
    HbaMethod.CERT: "certificate",
    HbaMethod.TRUST: '"trust"',
    HbaMethod.PAM: "PAM",
    HbaMethod.LDAP: "LDAP",
    HbaMethod.JWT: "JWT",
}
_EXCHANGES: Mapping[HbaMethod, AuthMethod] = {
    HbaMethod.TRUST: AuthMethod.TRUST,
    HbaMethod.PEER: AuthMethod.TRUST,
    HbaMethod.CERT: AuthMethod.TRUST,
    HbaMethod.MD5: AuthMethod.MD5,
    HbaMethod.SCRAM_SHA_256: AuthMethod.SCRAM_SHA_256,
    HbaMethod.PASSWORD: AuthMethod.PASSWORD,
    **dict.fromkeys(_CHECKS, AuthMethod.PASSWORD),
}
_SECRET_METHODS = frozenset((HbaMethod.MD5, HbaMethod.SCRAM_SHA_256, HbaMethod.PASSWORD))


def _check_peer(worker: Worker, rule: HbaRule, request: Request) -> None:
    """Check that the operating system knows the client under a name that may be this user."""
    uid = request.peer.uid
    name = None if uid is None else user_of(uid, worker.authorities)
    if name is None:
        _unproven(request, f"there is no operating system user with the id {uid}")
    elif _may_be(worker, rule, request, name):
        return
    raise authentication_failed("Peer", request.user)


def _require_certificate(request: Request) -> None:
    """Check that a client whose rule wants a certificate has shown one."""
    if request.peer.certificate is not None:
        return
    what = (
        "connection requires a valid client certificate"
        if request.peer.can_check_certificates
        else "client certificates can only be checked if a root certificate store is available"
    )
    raise ClientError(Severity.FATAL, SqlState.INVALID_AUTHORIZATION_SPECIFICATION, what)


def _is_named_by_certificate(worker: Worker, rule: HbaRule, request: Request) -> bool:
    """Whether the certificate names this user, or the rule does not ask for that."""
    certificate, wanted = request.peer.certificate, rule.options.get("clientcert")
    if certificate is None or (rule.method is not HbaMethod.CERT and wanted != "verify-full"):
        return True
    by_name = rule.options.get("clientname") == "DN"
    name = certificate.distinguished_name if by_name else certificate.common_name
    return bool(name) and _may_be(worker, rule, request, name)


def _doom(
    method: HbaMethod, request: Request, secret: Secret | None
) -> tuple[Secret | None, Check | None]:
    """Return what lets no password do: whoever has another's certificate is asked like anybody.

    Raises: ClientError if nothing would be asked.
    """
    if method not in _NAMES:
        return (
            Md5Hash(f"md5{os.urandom(16).hex()}") if isinstance(secret, Md5Hash) else None
        ), None
    failure = authentication_failed(_NAMES[method], request.user)
    if method not in _CHECKS:
        raise failure

    def check(_password: str) -> None:
        raise failure

    return None, check


def _may_be(worker: Worker, rule: HbaRule, request: Request, name: str) -> bool:
    ident = worker.config.general.pg_ident
    if may_be(ident, rule.options.get("map"), name, request.user):
        return True
    _unproven(request, f'no match in user name map "{rule.options.get("map", "")}" for "{name}"')
    return False
