"""Authenticate a client: choose the exchange as PostgreSQL does, and step through it.

    start() --> Authentication request (or AuthenticationOk for trust)
    feed()  --> next request ... AuthenticationOk; `state` SUCCEEDED, `credential` set
            \\-> raises ReportedError; `state` FAILED

Law: a wrong password, an unknown user and a secret of the wrong kind give the same bytes after
the same work. What a user may do afterwards (databases, limits) is not decided here.
Partners: the client session; `scram.py`, `md5.py`, `cleartext.py`.
Source: PostgreSQL `auth.c`, `auth-sasl.c`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from greenpool.auth.cleartext import cleartext_verify
from greenpool.auth.md5 import SALT_BYTES, md5_verify
from greenpool.auth.scram import (
    MECHANISM,
    MECHANISM_PLUS,
    ScramServer,
    ScramState,
    make_nonce,
)
from greenpool.auth.secret import (
    Credential,
    Derive,
    Md5Hash,
    PlainPassword,
    PlainSecret,
    ScramSecret,
    Secret,
    derive_keys,
    mock_secret,
)
from greenpool.errors import ReportedError
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

MAX_SASL_MESSAGE_BYTES = 1024
"""PostgreSQL's PG_MAX_SASL_MESSAGE_LENGTH."""


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
    MD5_SENT = "md5 sent"
    CLEARTEXT_SENT = "cleartext sent"
    SASL_SENT = "sasl sent"
    SASL_CONTINUED = "sasl continued"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class AuthContext:
    """What all authentications of a greenpool share.

    `mock_key`: random bytes made once by the master before it forks, so that all workers give the
    same salt to a user that does not exist. `derive` is used for cleartext passwords only.
    """

    mock_key: bytes = field(repr=False)
    derive: Derive = derive_keys
    random_bytes: Callable[[int], bytes] = os.urandom


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
        self._md5_salt = b""
        self._scram: ScramServer | None = None
        self._reader = FrameReader(FrontendType, MAX_LOGIN_BODY_BYTES)

    def start(self) -> bytes:
        """Begin: return the request to send, or AuthenticationOk when there is nothing to ask."""
        if self._method is AuthMethod.TRUST:
            return self._succeed(_credential_of(self._secret))
        if self._method is AuthMethod.PASSWORD:
            self.state = AuthState.CLEARTEXT_SENT
            return backend.authentication_cleartext_password()
        if self._method is AuthMethod.MD5 and isinstance(self._secret, Md5Hash):
            self.state = AuthState.MD5_SENT
            self._md5_salt = self._context.random_bytes(SALT_BYTES)
            return backend.authentication_md5_password(self._md5_salt)
        self.state = AuthState.SASL_SENT
        return backend.authentication_sasl(self._mechanisms)

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the client, return bytes to send; empty while a message is incomplete.

        Stops at the message that ends the exchange: bytes behind it stay for `take_rest`.
        Switches: if the context's `derive` does. Raises: ReportedError (ClientError for all but
        broken framing); `state` is FAILED then.
        """
        messages = self._reader.feed(data)
        out = b""
        try:
            while self.state in _HANDLERS and (message := next(messages, None)):
                out += self._step(message)
        except ReportedError:
            self.state = AuthState.FAILED
            raise
        except MalformedBody as exc:
            self.state = AuthState.FAILED
            raise protocol_violation(str(exc)) from exc
        return out

    def take_rest(self) -> bytes:
        """Return bytes that followed the exchange: the client was quick to send a query."""
        return self._reader.take_rest()

    def _step(self, message: Message) -> bytes:
        if message.type is not FrontendType.PASSWORD_MESSAGE:
            kind = "SASL" if self.state in _SASL_STATES else "password"
            raise protocol_violation(
                f"expected {kind} response, got message type {message.type.value[0]}"
            )
        if self.state in _SASL_STATES and len(message.body) > MAX_SASL_MESSAGE_BYTES:
            raise protocol_violation("invalid message length")
        return _HANDLERS[self.state](self, message.body)

    def _on_md5(self, body: bytes) -> bytes:
        stored = self._secret
        response = _read_password(body)
        if isinstance(stored, Md5Hash) and md5_verify(stored, self._md5_salt, response):
            return self._succeed(stored)
        raise password_authentication_failed(self._user)

    def _on_cleartext(self, body: bytes) -> bytes:
        password = _read_password(body)
        if self._check is not None:
            self._check(password)
            return self._succeed(None)
        secret = self._secret or mock_secret(self._user, self._context.mock_key)
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

    def _on_sasl_initial(self, body: bytes) -> bytes:
        reader = Body(body)
        mechanism = reader.cstring()
        if mechanism not in self._mechanisms:
            raise protocol_violation("client selected an invalid SASL authentication mechanism")
        length = reader.i32()
        data = None if length == -1 else reader.take(length)
        reader.end()
        scram = self._scram = self._make_scram(mechanism == MECHANISM_PLUS)
        self.state = AuthState.SASL_CONTINUED
        return backend.authentication_sasl_continue(b"" if data is None else scram.feed(data))

    def _on_sasl_response(self, body: bytes) -> bytes:
        scram = self._scram
        assert scram is not None
        answer = scram.feed(body)
        if scram.state is ScramState.FINAL:
            return backend.authentication_sasl_continue(answer)
        if scram.state is not ScramState.SUCCEEDED or scram.keys is None:
            raise password_authentication_failed(self._user)
        plain = self._secret if isinstance(self._secret, PlainSecret) else None
        credential = PlainPassword(plain.password) if plain else scram.keys
        return backend.authentication_sasl_final(answer) + self._succeed(credential)

    @property
    def _mechanisms(self) -> tuple[str, ...]:
        return (MECHANISM_PLUS, MECHANISM) if self._binding else (MECHANISM,)

    def _make_scram(self, is_bound: bool) -> ScramServer:
        secret = self._secret.scram if isinstance(self._secret, PlainSecret) else self._secret
        doomed = not isinstance(secret, ScramSecret)
        mock = mock_secret(self._user, self._context.mock_key)
        chosen = secret if isinstance(secret, ScramSecret) else mock
        return ScramServer(
            *(chosen, self._make_nonce), doomed=doomed, binding=self._binding, is_bound=is_bound
        )

    def _make_nonce(self) -> str:
        return make_nonce(self._context.random_bytes)

    def _succeed(self, credential: Credential | None) -> bytes:
        self.credential = credential
        self.state = AuthState.SUCCEEDED
        return backend.authentication_ok()


_HANDLERS: dict[AuthState, Callable[[ClientAuthenticator, bytes], bytes]] = {
    AuthState.MD5_SENT: ClientAuthenticator._on_md5,
    AuthState.CLEARTEXT_SENT: ClientAuthenticator._on_cleartext,
    AuthState.SASL_SENT: ClientAuthenticator._on_sasl_initial,
    AuthState.SASL_CONTINUED: ClientAuthenticator._on_sasl_response,
}

_SASL_STATES = frozenset({AuthState.SASL_SENT, AuthState.SASL_CONTINUED})


def _credential_of(secret: Secret | None) -> Credential | None:
    """Return what a configured secret can do at PostgreSQL by itself, without a client's proof."""
    if isinstance(secret, PlainSecret):
        return PlainPassword(secret.password)
    return secret if isinstance(secret, Md5Hash) else None


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
