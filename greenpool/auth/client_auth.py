"""Authenticate a client: choose the exchange as PostgreSQL does, and step through it.

    start() --> Authentication request (or AuthenticationOk for trust)
    feed()  --> next request ... AuthenticationOk; `state` SUCCEEDED, `credential` set
            \\-> raises ReportedError; `state` FAILED

MD5 and SCRAM are C's (`_cparser/login.c`): `challenge_of` says what it needs to know, and the
engine does the rest for the clients of pools, without this class. Law: a wrong password, an unknown
user and a secret of the wrong kind give the same bytes after the same work. What a user may do
afterwards (databases, limits) is not decided here.
Partners: the client session; `login.py`, `cleartext.py`.
Source: PostgreSQL `auth.c`, `auth-sasl.c`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from greenpool.auth.cleartext import cleartext_verify
from greenpool.auth.secret import (
    DEFAULT_ITERATIONS,
    Credential,
    Derive,
    Md5Hash,
    PlainPassword,
    PlainSecret,
    ScramKeys,
    ScramSecret,
    Secret,
    derive_keys,
    mock_secret,
)
from greenpool.errors import ReportedError
from greenpool.login import RANDOM_BYTES, Challenge, Fault, LoginExchange, ScramVerifier
from greenpool.protocol import backend
from greenpool.protocol.body import Body, MalformedBody
from greenpool.protocol.errors import (
    ClientError,
    Severity,
    SqlState,
    password_authentication_failed,
    protocol_violation,
)
from greenpool.protocol.frame import MAX_LOGIN_BODY_BYTES, FrameReader
from greenpool.protocol.message import FrontendType, Message
from greenpool.records import LoginMethod

Check = Callable[[str], None]
"""Checks a password that somebody else knows. May switch. Raises: ClientError if it is wrong."""


class AuthMethod(Enum):
    """Methods, named as in pg_hba.conf. MD5 means SCRAM unless the user's secret is an md5 hash."""

    TRUST = "trust"
    MD5 = "md5"
    SCRAM_SHA_256 = "scram-sha-256"
    PASSWORD = "password"


class AuthState(Enum):
    """Where an authentication stands."""

    NEW = "new"
    EXCHANGING = "exchanging"
    CLEARTEXT_SENT = "cleartext sent"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class AuthContext:
    """What all authentications of a greenpool share.

    `mock_key`: random bytes made once by the master before it forks, so that all workers give the
    same salt to a user that does not exist, who shows `iterations`. `derive` is used for cleartext
    passwords only.
    """

    mock_key: bytes = field(repr=False)
    derive: Derive = derive_keys
    random_bytes: Callable[[int], bytes] = os.urandom
    iterations: int = DEFAULT_ITERATIONS

    def mock_secret(self, user: str) -> ScramSecret:
        """Return what a user without a secret shows."""
        return mock_secret(user, self.mock_key, self.iterations)


def challenge_of(
    method: AuthMethod, user: str, secret: Secret | None, context: AuthContext, binding: bytes = b""
) -> Challenge:
    """Return what C needs to know for any method but PASSWORD.

    `secret` None: the user does not exist or has none, and meets the same challenge as any other.
    """
    if method is AuthMethod.TRUST:
        return Challenge(LoginMethod.TRUST, user)
    if method is AuthMethod.MD5 and isinstance(secret, Md5Hash):
        return Challenge(LoginMethod.MD5, user, md5=secret.text)
    kept = secret.scram if isinstance(secret, PlainSecret) else secret
    is_doomed = not isinstance(kept, ScramSecret)
    chosen = kept if isinstance(kept, ScramSecret) else context.mock_secret(user)
    verifier = ScramVerifier(
        *(chosen.iterations, chosen.salt, chosen.stored_key, chosen.server_key), is_doomed
    )
    return Challenge(LoginMethod.SCRAM, user, scram=verifier, binding=binding)


def credential_of(secret: Secret | None, client_key: bytes | None = None) -> Credential | None:
    """Return what logs in at PostgreSQL for a client that has met its challenge.

    `client_key`: what it has proved by SCRAM; without it, what the secret can do by itself.
    """
    if isinstance(secret, PlainSecret):
        return PlainPassword(secret.password)
    if isinstance(secret, ScramSecret) and client_key is not None:
        return ScramKeys(client_key, secret.server_key)
    return secret if isinstance(secret, Md5Hash) else None


class ClientAuthenticator:
    """Authenticate one client. `secret` None: the user does not exist or has no secret.

    `credential` is what may log in at PostgreSQL for this client: the plain password, the md5
    hash or the recovered SCRAM keys; None after trust without a secret, and after a `check`.
    With a `check`, the secret is not looked at: it is asked about a cleartext password.
    `binding`: what SCRAM can bind the login to (`scram.py`), empty without TLS.
    """

    def __init__(
        self,
        method: AuthMethod,
        user: str,
        secret: Secret | None,
        context: AuthContext,
        check: Check | None = None,
        binding: bytes = b"",
    ) -> None:
        self.state = AuthState.NEW
        self.credential: Credential | None = None
        self._method = method
        self._user = user
        self._secret = secret
        self._context = context
        self._check = check
        self._binding = binding
        self._exchange: LoginExchange | None = None
        self._reader = FrameReader(FrontendType, MAX_LOGIN_BODY_BYTES)

    def start(self) -> bytes:
        """Begin: return the request to send, or AuthenticationOk when there is nothing to ask."""
        if self._method is AuthMethod.PASSWORD:
            self.state = AuthState.CLEARTEXT_SENT
            return backend.authentication_cleartext_password()
        subject = self._method, self._user, self._secret
        challenge = challenge_of(*subject, self._context, self._binding)
        self.state = AuthState.EXCHANGING
        self._exchange = LoginExchange(challenge, self._context.random_bytes(RANDOM_BYTES))
        return self._went_on(self._exchange, self._exchange.start())

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the client, return bytes to send; empty while a message is incomplete.

        Stops at the message that ends the exchange: bytes behind it stay for `take_rest`.
        Switches: if the context's `derive` does. Raises: ReportedError (ClientError for all but
        broken framing); `state` is FAILED then.
        """
        if self.state is AuthState.EXCHANGING and self._exchange is not None:
            return self._went_on(self._exchange, self._exchange.feed(data))
        messages = self._reader.feed(data)
        try:
            if self.state is AuthState.CLEARTEXT_SENT and (message := next(messages, None)):
                return self._on_cleartext(message)
        except ReportedError:
            self.state = AuthState.FAILED
            raise
        return b""

    def take_rest(self) -> bytes:
        """Return bytes that followed the exchange: the client was quick to send a query."""
        if self._exchange is not None:
            return self._exchange.take_rest()
        return self._reader.take_rest()

    def _went_on(self, exchange: LoginExchange, out: bytes) -> bytes:
        if exchange.fault is not None:
            self.state = AuthState.FAILED
            raise as_client_error(exchange.fault)
        if exchange.is_proved:
            self.credential = credential_of(self._secret, exchange.client_key())
            self.state = AuthState.SUCCEEDED
        return out

    def _on_cleartext(self, message: Message) -> bytes:
        if message.type is not FrontendType.PASSWORD_MESSAGE:
            raise protocol_violation(
                f"expected password response, got message type {message.type.value[0]}"
            )
        password = _read_password(message.body)
        if self._check is not None:
            self._check(password)
            return self._succeed(None)
        secret = self._secret or self._context.mock_secret(self._user)
        fits = cleartext_verify(secret, self._user, password, self._context.derive)
        if fits and self._secret is not None:
            return self._succeed(self._proved(self._secret, password))
        raise password_authentication_failed(self._user)

    def _proved(self, secret: Secret, password: str) -> Credential:
        """Return what a right password gives us: no more of it than the secret takes."""
        if isinstance(secret, PlainSecret):
            return PlainPassword(secret.password)
        if isinstance(secret, Md5Hash):
            return secret
        return self._context.derive(password, secret.salt, secret.iterations)

    def _succeed(self, credential: Credential | None) -> bytes:
        self.credential = credential
        self.state = AuthState.SUCCEEDED
        return backend.authentication_ok()


def as_client_error(fault: Fault) -> ClientError:
    """Make the error that tells a client what C has found wrong with its login."""
    sqlstate = SqlState(fault.sqlstate)
    return ClientError(Severity.FATAL, sqlstate, fault.message, detail=fault.detail)


def _read_password(body: bytes) -> str:
    reader = Body(body)
    try:
        password = reader.cstring()
        reader.end()
    except MalformedBody as exc:
        raise protocol_violation("invalid password packet size") from exc
    if not password:
        raise ClientError(
            Severity.FATAL, SqlState.INVALID_PASSWORD, "empty password returned by client"
        )
    return password
