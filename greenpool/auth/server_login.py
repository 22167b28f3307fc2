"""Log in at PostgreSQL: from StartupMessage to the first ReadyForQuery, without a socket.

    NEW -start()-> STARTED -> PASSWORD_SENT ---------------------------> AUTHENTICATED -> READY
                        \\--> SASL_FIRST_SENT -> SASL_FINAL_SENT -> SASL_VERIFIED --^
    any of them -> FAILED on ErrorResponse, or when the credential cannot answer (see `error`)

Law: the two tables at the end are the protocol; a pair that is not in them is a
ServerProtocolError that names state and message. So AuthenticationOk in the middle of SCRAM, from
a server that does not know the secret, cannot pass.
Partner: the worker's server login greenlet, which owns the socket and the deadline.
Source: "Message Flow > Start-up"; "SASL Authentication".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from greenpool.auth.md5 import SALT_BYTES, md5_hash, md5_response
from greenpool.auth.scram import (
    MECHANISM,
    MECHANISM_PLUS,
    NonceSource,
    ScramClient,
    make_nonce,
)
from greenpool.auth.secret import (
    Credential,
    Derive,
    Md5Hash,
    PlainPassword,
    ScramKeys,
    derive_keys,
)
from greenpool.errors import ServerProtocolError
from greenpool.protocol import frontend
from greenpool.protocol.body import Body, MalformedBody
from greenpool.protocol.errors import ErrorFields, Severity, SqlState
from greenpool.protocol.frame import FrameReader
from greenpool.protocol.message import AuthCode, BackendType, Message, TransactionStatus

MAX_BODY_BYTES = 1 << 20
"""Bound on a login message; the largest lawful ones are errors and long parameter values."""

MAX_NOTICES = 32
"""Notices kept of one login, the newest ones."""


class LoginState(Enum):
    """Where a login stands."""

    NEW = "new"
    STARTED = "started"
    PASSWORD_SENT = "password sent"
    SASL_FIRST_SENT = "SASL first sent"
    SASL_FINAL_SENT = "SASL final sent"
    SASL_VERIFIED = "SASL verified"
    AUTHENTICATED = "authenticated"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ServerGreeting:
    """What PostgreSQL told us until it was ready.

    `version` is the protocol spoken. Without BackendKeyData (not every server sends one)
    `backend_pid` is 0, `cancel_key` empty, and queries there cannot be cancelled.
    """

    parameters: Mapping[str, str]
    backend_pid: int
    cancel_key: bytes = field(repr=False)
    version: int


class ServerLogin:
    """Log in as `user` at `database`; `parameters` go into the StartupMessage as they are.

    `binding`: what SCRAM can bind the login to (`scram.py`), empty without TLS.

    After each `feed` look at `state`: READY (`greeting` is set) and FAILED (`error` is set:
    PostgreSQL's own words, or ours if the credential cannot do what PostgreSQL asks) end it.
    Switches: in `feed`, if `derive` does.
    """

    def __init__(
        self,
        user: str,
        database: str,
        parameters: Mapping[str, str],
        credential: Credential | None,
        *,
        derive: Derive = derive_keys,
        nonce_source: NonceSource = make_nonce,
        version: int = frontend.PROTOCOL_3_0,
        is_encrypted: bool = False,
        binding: bytes = b"",
    ) -> None:
        self.state = LoginState.NEW
        self.greeting: ServerGreeting | None = None
        self.error: ErrorFields | None = None
        self.notices: deque[ErrorFields] = deque(maxlen=MAX_NOTICES)
        self._user = user
        self._startup = {"user": user, "database": database, **parameters}
        self._credential = credential
        self._derive = derive
        self._nonce_source = nonce_source
        self._version = version
        self._is_encrypted = is_encrypted
        self._binding = binding
        self._negotiated = False
        self._scram: ScramClient | None = None
        self._parameters: dict[str, str] = {}
        self._key: tuple[int, bytes] = (0, b"")
        self._reader = FrameReader(BackendType, MAX_BODY_BYTES)

    def start(self) -> bytes:
        """Begin: return the StartupMessage."""
        self.state = LoginState.STARTED
        return frontend.startup_message(self._startup, self._version)

    def feed(self, data: bytes) -> bytes:
        """Take bytes from PostgreSQL, return bytes to send, often none.

        Stops when the login has ended; bytes behind stay for `take_rest`.
        Raises: ServerProtocolError; the connection is of no use then.
        """
        messages = self._reader.feed(data)
        out = b""
        while self.state not in _ENDED and (message := next(messages, None)):
            try:
                out += self._step(message)
            except MalformedBody as exc:
                raise self._unlawful(message.type.name, str(exc)) from exc
        return out

    def take_rest(self) -> bytes:
        """Return bytes that followed the end of the login."""
        return self._reader.take_rest()

    def _step(self, message: Message) -> bytes:
        assert isinstance(message.type, BackendType)
        handler = _MESSAGES.get((self.state, message.type))
        if handler is None:
            raise self._unlawful(message.type.name)
        body = Body(message.body)
        answer = handler(self, body)
        if self.state is not LoginState.FAILED:
            body.end()
        return answer

    def _on_authentication(self, body: Body) -> bytes:
        number = body.u32()
        try:
            code = AuthCode(number)
        except ValueError:
            return self._refuse(f"authentication method {number}")
        handler = _AUTHENTICATIONS.get((self.state, code))
        if handler is not None:
            return handler(self, body)
        if self.state is LoginState.STARTED and code in _UNSUPPORTED:
            return self._refuse(f"{code.name} authentication")
        raise self._unlawful(f"AUTHENTICATION {code.name}")

    def _on_ok(self, body: Body) -> bytes:
        self.state = LoginState.AUTHENTICATED
        return b""

    def _on_cleartext(self, body: Body) -> bytes:
        if not isinstance(self._credential, PlainPassword):
            return self._refuse("a cleartext password")
        self.state = LoginState.PASSWORD_SENT
        return frontend.password_message(self._credential.password)

    def _on_md5(self, body: Body) -> bytes:
        salt = body.take(SALT_BYTES)
        stored = self._credential
        if isinstance(stored, PlainPassword):
            stored = md5_hash(self._user, stored.password)
        if not isinstance(stored, Md5Hash):
            return self._refuse("an md5 password")
        self.state = LoginState.PASSWORD_SENT
        return frontend.password_message(md5_response(stored, salt))

    def _on_sasl(self, body: Body) -> bytes:
        offered = []
        while mechanism := body.cstring():
            offered.append(mechanism)
        if MECHANISM_PLUS in offered and not self._is_encrypted:
            raise self._unlawful("AUTHENTICATION SASL", f"{MECHANISM_PLUS} without TLS")
        is_bound = MECHANISM_PLUS in offered and self._binding != b""
        if MECHANISM not in offered and not is_bound:
            return self._refuse(f"SASL authentication with one of {', '.join(offered)}")
        credential = self._credential
        if credential is None or isinstance(credential, Md5Hash):
            return self._refuse(f"{MECHANISM} authentication")
        self._scram = ScramClient(
            *(credential, self._nonce_source, self._derive),
            binding=self._binding,
            is_bound=is_bound,
        )
        self.state = LoginState.SASL_FIRST_SENT
        mechanism = MECHANISM_PLUS if is_bound else MECHANISM
        return frontend.sasl_initial_response(mechanism, self._scram.first())

    def _on_sasl_continue(self, body: Body) -> bytes:
        answer = self._exchange().final(body.rest())
        self.state = LoginState.SASL_FINAL_SENT
        return frontend.sasl_response(answer)

    def _on_sasl_final(self, body: Body) -> bytes:
        self._exchange().verify(body.rest())
        self.state = LoginState.SASL_VERIFIED
        return b""

    def _on_parameter_status(self, body: Body) -> bytes:
        name = body.cstring()
        self._parameters[name] = body.cstring()
        return b""

    def _on_backend_key_data(self, body: Body) -> bytes:
        pid, key = body.u32(), body.rest()
        longest = (
            frontend.MAX_CANCEL_KEY_BYTES
            if self._version >= frontend.PROTOCOL_3_2
            else frontend.MIN_CANCEL_KEY_BYTES
        )
        if not frontend.MIN_CANCEL_KEY_BYTES <= len(key) <= longest:
            raise self._unlawful("BACKEND_KEY_DATA", f"a cancel key of {len(key)} bytes")
        self._key = (pid, key)
        return b""

    def _on_negotiate(self, body: Body) -> bytes:
        version, unknown_count = body.u32(), body.u32()
        if version >> 16 != 3 or version > self._version or unknown_count or self._negotiated:
            raise self._unlawful("NEGOTIATE_PROTOCOL_VERSION", "an answer to no question of ours")
        self._version = version
        self._negotiated = True
        return b""

    def _on_notice(self, body: Body) -> bytes:
        self.notices.append(ErrorFields.parse(body.rest()))
        return b""

    def _on_error(self, body: Body) -> bytes:
        return self._fail(ErrorFields.parse(body.rest()))

    def _on_ready(self, body: Body) -> bytes:
        if body.rest() != TransactionStatus.IDLE.value:
            raise self._unlawful("READY_FOR_QUERY", "a transaction after login")
        self.greeting = ServerGreeting(self._parameters, *self._key, self._version)
        self.state = LoginState.READY
        return b""

    def _exchange(self) -> ScramClient:
        assert self._scram is not None
        return self._scram

    def _refuse(self, wanted: str) -> bytes:
        """Fail because PostgreSQL asks for what our credential cannot give."""
        has = _CREDENTIAL_NAMES[type(self._credential)]
        return self._fail(
            ErrorFields.of(
                Severity.FATAL,
                SqlState.INVALID_AUTHORIZATION_SPECIFICATION,
                f'server asks for {wanted} of user "{self._user}", but greenpool has {has}',
                hint="Set server_password for this user, or store the same SCRAM secret "
                "in greenpool and in PostgreSQL.",
            )
        )

    def _fail(self, error: ErrorFields) -> bytes:
        self.error = error
        self.state = LoginState.FAILED
        return b""

    def _unlawful(self, message: str, reason: str = "unexpected") -> ServerProtocolError:
        return ServerProtocolError(
            f"server login in state {self.state.name}: {message} from server: {reason}"
        )


_ENDED = frozenset({LoginState.READY, LoginState.FAILED})

_WAITING = tuple(
    state for state in LoginState if state not in _ENDED and state is not LoginState.NEW
)

_UNSUPPORTED = frozenset({AuthCode.KERBEROS_V5, AuthCode.GSS, AuthCode.SSPI})

_CREDENTIAL_NAMES: dict[type, str] = {
    type(None): "no password",
    Md5Hash: "only an md5 hash",
    PlainPassword: "only a password",
    ScramKeys: "only SCRAM keys",
}

_Handler = Callable[[ServerLogin, Body], bytes]

_MESSAGES: dict[tuple[LoginState, BackendType], _Handler] = {
    **{(state, BackendType.ERROR_RESPONSE): ServerLogin._on_error for state in _WAITING},
    **{(state, BackendType.NOTICE_RESPONSE): ServerLogin._on_notice for state in _WAITING},
    **{
        (state, BackendType.AUTHENTICATION): ServerLogin._on_authentication
        for state in _WAITING
        if state is not LoginState.AUTHENTICATED
    },
    (LoginState.STARTED, BackendType.NEGOTIATE_PROTOCOL_VERSION): ServerLogin._on_negotiate,
    (LoginState.AUTHENTICATED, BackendType.PARAMETER_STATUS): ServerLogin._on_parameter_status,
    (LoginState.AUTHENTICATED, BackendType.BACKEND_KEY_DATA): ServerLogin._on_backend_key_data,
    (LoginState.AUTHENTICATED, BackendType.READY_FOR_QUERY): ServerLogin._on_ready,
}

_AUTHENTICATIONS: dict[tuple[LoginState, AuthCode], _Handler] = {
    (LoginState.STARTED, AuthCode.OK): ServerLogin._on_ok,
    (LoginState.STARTED, AuthCode.CLEARTEXT_PASSWORD): ServerLogin._on_cleartext,
    (LoginState.STARTED, AuthCode.MD5_PASSWORD): ServerLogin._on_md5,
    (LoginState.STARTED, AuthCode.SASL): ServerLogin._on_sasl,
    (LoginState.PASSWORD_SENT, AuthCode.OK): ServerLogin._on_ok,
    (LoginState.SASL_FIRST_SENT, AuthCode.SASL_CONTINUE): ServerLogin._on_sasl_continue,
    (LoginState.SASL_FINAL_SENT, AuthCode.SASL_FINAL): ServerLogin._on_sasl_final,
    (LoginState.SASL_VERIFIED, AuthCode.OK): ServerLogin._on_ok,
}
