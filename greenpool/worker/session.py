"""The life of one client until the engine has it, in one greenlet.

    accepted -> startup packets -> row claimed -> authenticated -> welcomed -> engine.serve
                  |   TLS              |              |                |
                  +-> CancelRequest    +-> 53300      +-> 28P01        +-> the admin console stays

The greenlet ends with `engine.serve`: an idle client shall cost no Python stack. Its goodbye comes
as an event (`goodbye.py`). Law: whoever owns the descriptor closes it, so `run` does until it is
the client table's; a client is told why it is refused, with PostgreSQL's words and SQLSTATE.
Source: "Message Flow > Start-up".
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping

import gevent
from gevent import socket

from greenpool.admin import session as admin_session
from greenpool.admin.welcome import ADMIN_DATABASES, WELCOME_PARAMETERS
from greenpool.auth.client_auth import AuthState
from greenpool.auth.hba.match import Request
from greenpool.auth.secret import Credential
from greenpool.config import DEFAULT_ADMIN_PASSWORD, HbaRule
from greenpool.errors import GreenpoolError, ReportedError
from greenpool.protocol import backend
from greenpool.protocol.errors import (
    ClientError,
    ErrorFields,
    Severity,
    SqlState,
    database_does_not_exist,
    role_does_not_exist,
)
from greenpool.protocol.startup import (
    CancelRequest,
    DirectTls,
    DirectTlsRefused,
    Encryption,
    EncryptionRequest,
    Replication,
    StartupMessage,
    StartupReader,
)
from greenpool.tls import TlsFailure
from greenpool.worker import access, cancel, check_query, client_tls, limits, welcome
from greenpool.worker.access import Account
from greenpool.worker.pools import PoolEntry
from greenpool.worker.sockets import peer_name, take_leave
from greenpool.worker.startup_state import SessionState
from greenpool.worker.state import Worker
from greenpool.worker.tls_socket import AnySocket, TlsSocket, facts_of, unwrap

log = logging.getLogger(__name__)

SHORT_KEY_BYTES = 4
LONG_KEY_BYTES = 32
"""Cancel keys: what protocol 3.0 can carry, and what PostgreSQL 18 makes for 3.2."""

_RECV_BYTES = 8192


class Disconnected(GreenpoolError):
    """The client has gone before its login was complete."""


class LoginTimeout(BaseException):
    """client_login_timeout is over; thrown into the greenlet, caught in `Session.run`."""


class Session:
    """One client from accept to `engine.serve`, or to its refusal. Make it, then `run` it."""

    __slots__ = (
        "_address",
        "_client",
        "_early",
        "_on_time_out",
        "_sock",
        "_unsent",
        "_who",
        "_worker",
    )

    def __init__(self, worker: Worker, sock: socket.socket) -> None:
        self._worker = worker
        self._sock: AnySocket = sock
        self._address = peer_name(sock)
        self._who = f"client {self._address}"
        self._client = 0  # its row, while it is this session's to give back
        self._early = b""  # received and not read yet
        self._unsent = b""  # leaves with whatever is said next: one segment, and always in order
        self._on_time_out: ClientError | None = None

    def run(self) -> None:
        """Live it. The outermost frame of the greenlet; raises nothing."""
        try:
            self._live()
        except LoginTimeout:
            self._refuse(self._on_time_out)
        except ClientError as exc:
            self._refuse(exc)
        except ReportedError as exc:
            self._refuse(_as_client_error(exc))
        except TlsFailure as exc:
            log.info("%s: TLS failed: %s", self._who, exc)
            take_leave(self._sock)  # there may be an alert on its way
        except (Disconnected, OSError) as exc:
            log.debug("%s: gone during login: %s", self._who, exc)
        except Exception:
            log.exception("%s: login failed by an error that nobody expected", self._who)
            self._refuse(ClientError(Severity.FATAL, SqlState.INTERNAL_ERROR, "internal error"))
        finally:
            if self._client:
                self._worker.engine.forget(self._client)
            self._sock.close()  # detached by now if all went well

    # ---- the phases ------------------------------------------------------------------------

    def _live(self) -> None:
        timeout_s = self._worker.config.general.client_login_timeout_ms / 1000
        with gevent.Timeout(timeout_s, LoginTimeout()):
            first = self._read_startup()
            if isinstance(first, CancelRequest):
                cancel.on_request(self._worker, first)
                return
            go_on = self._log_in(first)
        go_on()

    def _read_startup(self) -> StartupMessage | CancelRequest:
        """Read until it is clear what this is, and encrypt the rest where that is wanted."""
        reader = StartupReader(self._worker.config.general.max_startup_packet_bytes)
        data = b""
        while True:
            event = reader.feed(data)
            if isinstance(event, DirectTls):
                if not self._encrypt(reader, event.data):
                    raise DirectTlsRefused
            elif isinstance(event, EncryptionRequest):
                if event.kind is not Encryption.SSL or not self._encrypt(reader, b""):
                    self._sock.sendall(event.REFUSAL)
            elif event is not None:
                self._early = reader.take_rest()
                return event
            data = self._receive()

    def _encrypt(self, reader: StartupReader, early: bytes) -> bool:
        """Shake hands; False: there is nothing to do it with. `early`: what came of it unasked."""
        context = client_tls.offer(self._worker, self._sock)
        if context is None:
            return False
        self._sock = client_tls.shake_hands(self._worker, context, self._sock, early)
        reader.encrypt()
        return True

    def _log_in(self, startup: StartupMessage) -> Callable[[], None]:
        """Authenticate and welcome; return what then takes the client over, without deadline."""
        self._who = f"client {startup.user}@{startup.database} {self._address}"
        self._on_time_out = ClientError(
            Severity.FATAL, SqlState.QUERY_CANCELED, "canceling authentication due to timeout"
        )
        if self._worker.is_draining:
            raise ClientError(
                Severity.FATAL, SqlState.CANNOT_CONNECT_NOW, "the database system is shutting down"
            )
        self._unsent = startup.negotiation()
        peer = client_tls.peer_of(self._worker, self._sock)
        request = Request(peer, startup.user, startup.database, startup.replication)
        limits.check_rate(self._worker, request.peer)
        client_tls.check(self._worker, self._sock, startup)
        rule = access.admit(self._worker, request)
        if startup.replication is not Replication.NONE:
            raise ClientError(
                Severity.FATAL,
                SqlState.FEATURE_NOT_SUPPORTED,
                "replication connections are not supported yet",
                "Connect to PostgreSQL directly.",
            )
        is_admin = startup.database in ADMIN_DATABASES
        self._enter(startup, is_admin)
        log_in = self._log_in_admin if is_admin else self._log_in_client
        return log_in(startup, request, rule)

    def _enter(self, startup: StartupMessage, is_admin: bool) -> None:
        """Claim a row; the admin may use those kept back, to see why everyone else may not."""
        admin_name = self._worker.config.general.admin_username
        may_use_reserve = is_admin and startup.user == admin_name
        engine = self._worker.engine
        self._client = engine.enter(may_use_reserve, self._address)
        if not self._client:
            raise ClientError(
                Severity.FATAL, SqlState.TOO_MANY_CONNECTIONS, "sorry, too many clients already"
            )
        application = startup.parameters.get("application_name", "")
        engine.names(self._client, startup.user, startup.database, application)
        if isinstance(self._sock, TlsSocket):
            engine.encrypted(self._client, self._sock.session)

    # ---- a client of a pool ----------------------------------------------------------------

    def _log_in_client(
        self, startup: StartupMessage, request: Request, rule: HbaRule
    ) -> Callable[[], None]:
        entry = self._worker.pools.find(startup.database, startup.user)
        self._authenticate_for(entry, request, rule)
        if entry is None:
            raise database_does_not_exist(startup.database)
        limits.check_counts(self._worker, self._client, entry)
        state = self._state_for(entry, startup.settings())
        if self._worker.pools.at(entry.index) is None:  # a reload has been quicker
            raise ClientError(Severity.FATAL, SqlState.ADMIN_SHUTDOWN, "the pool has been removed")
        self._welcome(startup, state.statuses)
        return lambda: self._hand_over(entry, state)

    def _state_for(self, entry: PoolEntry, settings: Mapping[str, str]) -> SessionState:
        state = entry.states.get(settings)
        if state is None:
            self._send(b"")  # what follows may take its time: the client has been let in already
            state = welcome.find_state(self._worker, entry, settings)
        return state

    def _authenticate_for(self, entry: PoolEntry | None, request: Request, rule: HbaRule) -> None:
        """Authenticate as a user of the pool, or of any pool when the database is unknown.

        Raises: ClientError, the same for an unknown user and a wrong password.
        """
        known, pools = entry, self._worker.pools
        if known is None and not pools.has_database(request.database):
            known = pools.of_user(request.user)
        account = None if known is None else access.account_of(self._worker, known)
        credential = self._authenticate(rule, request, account)
        if known is not None:
            known.pass_on(credential)

    def _hand_over(self, entry: PoolEntry, state: SessionState) -> None:
        """Give the client to the engine. From here on its descriptor is the table's to close."""
        worker, client = self._worker, self._client
        fd, tls, rest = unwrap(self._sock)
        early = self._early + rest
        worker.clients.add(client, fd)
        self._client = 0
        try:
            worker.engine.serve(
                *(client, entry.index, fd, tls), *(state.hash, state.sql, state.look), early
            )
        except BaseException:
            worker.clients.remove(client)
            worker.engine.forget(client)
            os.close(fd)
            raise
        check_query.on_client(worker, entry)

    # ---- the admin -------------------------------------------------------------------------

    def _log_in_admin(
        self, startup: StartupMessage, request: Request, rule: HbaRule
    ) -> Callable[[], None]:
        self._authenticate_admin(request, rule)
        statuses = (backend.parameter_status(*each) for each in WELCOME_PARAMETERS.items())
        self._welcome(startup, b"".join(statuses))
        return self._serve_admin

    def _authenticate_admin(self, request: Request, rule: HbaRule) -> None:
        general = self._worker.config.general
        password, is_local = general.admin_password, self._sock.family == socket.AF_UNIX
        if request.user != general.admin_username:
            self._authenticate(rule, request, None)  # raises: nobody else is known here
        if not is_local and password in ("", DEFAULT_ADMIN_PASSWORD):
            raise ClientError(
                Severity.FATAL,
                SqlState.INVALID_AUTHORIZATION_SPECIFICATION,
                "the admin console is closed to the network",
                'Set admin_password to something other than "admin", or use the UNIX socket.',
            )
        self._authenticate(rule, request, access.admin_account(self._worker))

    def _serve_admin(self) -> None:
        """Stay: the console is spoken here, in Python."""
        self._worker.consoles.add(gevent.getcurrent())
        reason = admin_session.serve(
            self._sock, self._worker.console, self._early, lambda: gevent.sleep(0)
        )
        if self._worker.config.general.log_client_disconnections:
            log.info("%s: left: %s", self._who, reason.name.lower().replace("_", " "))
        take_leave(self._sock)

    # ---- steps of both ---------------------------------------------------------------------

    def _authenticate(
        self, rule: HbaRule, request: Request, account: Account | None
    ) -> Credential | None:
        """Run the exchange; AuthenticationOk is then unsent, to leave with what follows it.

        Raises: ClientError, also for a user that does not exist and got through (trust).
        """
        exchange = access.exchange(self._worker, rule, request, account)
        self._unsent += exchange.start()
        while exchange.state is not AuthState.SUCCEEDED:
            self._send(b"")
            data, self._early = self._early, b""
            self._unsent += exchange.feed(data or self._receive())
        self._early += exchange.take_rest()
        if account is None:
            raise role_does_not_exist(request.user)
        return exchange.credential

    def _welcome(self, startup: StartupMessage, statuses: bytes) -> None:
        length = LONG_KEY_BYTES if startup.takes_long_cancel_keys else SHORT_KEY_BYTES
        key = self._worker.engine.client_key(self._client, length)
        key_data = backend.backend_key_data(self._client, key)
        self._send(statuses + key_data + backend.ready_for_query())
        if self._worker.config.general.log_client_connections:
            application = startup.parameters.get("application_name") or "-"
            facts = facts_of(self._sock)
            log.info(
                "%s: logged in as %d, application %s%s",
                *(self._who, self._client, application),
                f", {facts.version} {facts.cipher}" if facts else "",
            )

    def _send(self, data: bytes) -> None:
        data, self._unsent = self._unsent + data, b""
        if data:
            self._sock.sendall(data)

    def _receive(self) -> bytes:
        data: bytes = self._sock.recv(_RECV_BYTES)
        if not data:
            raise Disconnected("it closed the connection")
        return data

    def _refuse(self, error: ClientError | None) -> None:
        """Say why, as far as the client listens. None: it has not said enough to be answered."""
        if error is None:
            log.info("%s: no startup packet within client_login_timeout", self._who)
            return
        log.info("%s: refused: %s (%s)", self._who, error, error.fields.sqlstate)
        try:
            self._sock.settimeout(1.0)
            self._send(error.response())
            take_leave(self._sock)
        except OSError as exc:
            log.debug("%s: gone before it was told: %s", self._who, exc)
        except ClientError as exc:  # `Listeners.dismiss`: the worker waits for nobody any more
            log.debug("%s: left while it was told: %s", self._who, exc)


def _as_client_error(exc: ReportedError) -> ClientError:
    error = ClientError(Severity.FATAL, SqlState.INTERNAL_ERROR, exc.message)
    error.fields = ErrorFields(
        (("S", "FATAL"), ("V", "FATAL"), ("C", exc.sqlstate), ("M", exc.message))
    )
    return error
