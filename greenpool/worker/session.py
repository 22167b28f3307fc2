"""The life of one client until the engine has it, in one greenlet.

    accepted -> startup packets -> decided -> row claimed -> engine.login -> proved and served
                  |   TLS            |  ^          |              |  ^
                  +-> CancelRequest  |  |          +-> 53300      |  +- open plan: session state
                                     |  +- as the last one        +-> 28P01
                                     +-> the admin console, whose exchange stays here

The greenlet ends when the engine lets the client in by itself: an idle client shall cost no Python
stack. Its goodbye comes as an event (`goodbye.py`). A client whose like was here before does not
come here, or only to be let in when it has proved who it is (`planning.py`). What it says until it
is clear what it wants is read by `arrival.py`. Law: whoever owns the descriptor closes it, so `run`
does until it is the engine's; a client is told why it is refused, with PostgreSQL's words and
SQLSTATE. Source: "Message Flow > Start-up".
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import gevent
from gevent import socket
from gevent.event import AsyncResult

from greenpool.admin import session as admin_session
from greenpool.admin.speaker import Rights, Speaker
from greenpool.admin.welcome import ADMIN_DATABASES, WELCOME_PARAMETERS
from greenpool.auth.client_auth import AuthMethod, AuthState, credential_of
from greenpool.auth.hba.match import Request
from greenpool.auth.secret import Credential
from greenpool.config import DEFAULT_ADMIN_PASSWORD, HbaRule
from greenpool.errors import ReportedError
from greenpool.observe import events
from greenpool.protocol import backend
from greenpool.protocol.errors import (
    ClientError,
    Severity,
    SqlState,
    database_does_not_exist,
    role_does_not_exist,
)
from greenpool.protocol.startup import (
    CancelRequest,
    Replication,
    StartupMessage,
    packet_length,
)
from greenpool.records import Guest, Reason, Refusal, Visit
from greenpool.tls import TlsFailure
from greenpool.worker import (
    access,
    cancel,
    candidate,
    check_query,
    client_tls,
    limits,
    planning,
    refusals,
    welcome,
)
from greenpool.worker.access import Demand
from greenpool.worker.arrival import Arrival, Disconnected, First, LoginTimeout
from greenpool.worker.candidate import Candidate
from greenpool.worker.logins import log_departure, log_login, log_refusal
from greenpool.worker.logins import name_of as name_of_client
from greenpool.worker.planning import LONG_KEY_BYTES, SHORT_KEY_BYTES, Decision, PlanKey
from greenpool.worker.pools import PoolEntry
from greenpool.worker.sockets import take_leave
from greenpool.worker.startup_state import SessionState
from greenpool.worker.state import Worker

log = logging.getLogger(__name__)

_NO_PASSWORDS = ("", DEFAULT_ADMIN_PASSWORD)  # that keep anybody out


class Session:
    """One client from accept until the engine serves it, or its refusal. Make it, then `run` it."""

    __slots__ = (
        "_arrival",
        "_candidate",
        "_client",
        "_is_engines",
        "_key",
        "_on_end",
        "_plans",
        "_proof",
        "_shown",
        "_startup",
        "_unsent",
        "_visit",
        "_worker",
    )

    def __init__(self, worker: Worker, guest: Guest) -> None:
        """Take an accepted client."""
        self._worker = worker
        self._plans = worker.plans  # those of the configuration that it meets
        self._arrival = Arrival(worker, guest)
        self._startup: StartupMessage | None = None
        self._client = 0  # its row, while it is this session's to give back
        self._is_engines = False  # the socket is, and the row
        self._candidate: Candidate | None = None  # None: somebody like it has been here before
        self._shown: Credential | None = None  # by an exchange that was run here
        self._on_end: Callable[[], None] | None = None  # what the pool that it comes to is owed
        self._unsent = b""  # leaves with whatever is said next: one segment, and always in order
        self._key: PlanKey | None = None  # what is decided for it may be remembered under this
        self._proof: AsyncResult | None = None
        self._visit = Visit.IN_VAIN  # what came of it, if it does not become the engine's

    @classmethod
    def of_known(
        cls, worker: Worker, client: int, key: PlanKey | None, decision: Decision
    ) -> Session:
        """Take a client that the engine has and that has proved who it is, to `finish` it."""
        self = cls(worker, Guest(-1, socket.AF_UNSPEC, None))
        row = worker.segment.client_row(client)
        self._arrival.where = "unknown" if row is None else row.address
        self._startup, self._key, self._client = decision.startup, key, client
        self._is_engines = True
        self._proof = worker.proofs[client] = AsyncResult()
        return self

    def run(self) -> None:
        """Live it. The outermost frame of the greenlet; raises nothing."""
        self._guard(self._live)

    def finish(self, decision: Decision) -> None:
        """Let in a client `of_known`. The outermost frame of the greenlet; raises nothing."""
        self._guard(partial(self._welcome_in_time, decision))

    def _guard(self, live: Callable[[], None]) -> None:
        try:
            live()
        except LoginTimeout:
            self._refuse(None if self._startup is None else refusals.out_of_time())
        except ClientError as exc:
            self._refuse(exc)
        except ReportedError as exc:
            self._refuse(refusals.as_client_error(exc))
        except TlsFailure as exc:
            events.CLIENT_TLS_FAILED.tell(log, who=self._name, error=exc)
            self._worker.engine.refused(Refusal.TLS)
            take_leave(self._arrival.sock)  # there may be an alert on its way
        except (Disconnected, OSError) as exc:
            log.debug("%s: gone during login: %s", self._name, exc)
        except Exception as exc:
            events.BUG.tell(log, exc, what=f"{self._name}: login failed")
            self._refuse(ClientError(Severity.FATAL, SqlState.INTERNAL_ERROR, "internal error"))
        finally:
            self._clean_up()

    def _clean_up(self) -> None:
        if self._on_end is not None:
            self._on_end()
        if self._is_asked:
            del self._worker.proofs[self._client]
        if self._is_engines:
            return
        self._worker.engine.visited(self._visit)
        if self._client:
            self._worker.engine.forget(self._client)
        self._arrival.close()

    @property
    def _name(self) -> str:
        """The client as logs call it."""
        return name_of_client(self._startup, self._arrival.where)

    # ---- the phases ------------------------------------------------------------------------

    def _live(self) -> None:
        timeout_s = self._timeout_s
        data = self._arrival.meet(timeout_s)
        decision = self._recall(data)
        if decision is not None and not decision.is_open:
            self._hand_over(decision)  # which keeps the deadline
            return
        self._arrival.open()
        with gevent.Timeout(self._arrival.left_s(timeout_s), LoginTimeout()):
            go_on = self._come_in(decision or self._arrival.read_startup(data, self._recall))
        go_on()

    @property
    def _timeout_s(self) -> float:
        return self._worker.config.general.client_login_timeout_ms / 1000

    def _come_in(self, first: First) -> Callable[[], None]:
        """Do what the first packet wants; return what is then left, without deadline."""
        if isinstance(first, CancelRequest):
            self._visit = Visit.CANCEL
            cancel.on_request(self._worker, first)
            if self._arrival.tls is not None:  # for libpq a bare end would be a failure
                self._arrival.tls.shutdown(socket.SHUT_WR)
        elif isinstance(first, Decision):
            self._follow(first)
        else:
            self._key = self._key_of(first.packet)
            return self._log_in(first)
        return _nothing

    def _log_in(self, startup: StartupMessage) -> Callable[[], None]:
        """See whether a client may try, and what it must show. It is then let in, but the admin."""
        self._startup = startup
        if self._worker.is_draining:
            raise ClientError(
                Severity.FATAL, SqlState.CANNOT_CONNECT_NOW, "the database system is shutting down"
            )
        self._unsent = startup.negotiation()
        peer = client_tls.peer_of(self._worker, self._arrival.sock)
        request = Request(peer, startup.user, startup.database, startup.replication)
        limits.check_rate(self._worker, request.peer)
        client_tls.check(self._worker, self._arrival.sock, startup)
        rule = access.admit(self._worker, request)
        if startup.replication is not Replication.NONE:
            raise ClientError(
                Severity.FATAL,
                SqlState.FEATURE_NOT_SUPPORTED,
                "replication connections are not supported yet",
                "Connect to PostgreSQL directly.",
            )
        if startup.database in ADMIN_DATABASES:
            return self._log_in_admin(startup, request, rule)
        self._follow(self._decide(startup, request, rule))
        return _nothing

    # ---- a client of a pool ----------------------------------------------------------------

    def _recall(self, data: bytes) -> Decision | None:
        """Return what was decided for another client that said and showed the same."""
        worker = self._worker
        length = packet_length(data)
        if length > len(data) or worker.is_draining or worker.config.general.login_rate_limit:
            return None
        key = self._key_of(data[:length])
        decision = self._plans.get(key)
        if decision is not None:
            self._key, self._arrival.early = key, data[length:]
        return decision

    def _key_of(self, packet: bytes) -> PlanKey:
        host, facts = self._arrival.host, self._arrival.facts
        if facts is None:
            return planning.who_of(host, None, None), packet
        certificate = client_tls.certificate_of(facts)
        return planning.who_of(host, certificate, facts.binding), packet

    def _decide(self, startup: StartupMessage, request: Request, rule: HbaRule) -> Decision:
        """Decide, and remember it for others. Raises: ClientError if it is refused here."""
        who = self._candidate = candidate.find(self._worker, request)
        try:
            return self._decide_about(who, startup, rule)
        except ClientError:
            who.refused()
            raise

    def _decide_about(self, who: Candidate, startup: StartupMessage, rule: HbaRule) -> Decision:
        worker, request = self._worker, who.request
        demand = access.demand(worker, rule, request, who.account)
        if demand.method is AuthMethod.PASSWORD:
            self._enter_here(startup)
            self._shown = self._authenticate(request, demand)
            if who.entry is not None:
                who.entry.pass_on(self._shown)
            demand = replace(demand, method=AuthMethod.TRUST)
            self._key = None  # the next one's password is another's to check
            startup = startup.negotiated()
        elif demand.method is AuthMethod.TRUST:
            self._unsent += backend.authentication_ok()  # unless the engine says so
        if demand.method is AuthMethod.TRUST and (demand.is_doomed or not who.has_pool):
            raise refusals.nobody(startup, demand)
        if who.is_fickle:
            self._key = None
        if not access.is_repeatable(worker.config.general.access_rules, rule):
            self._key = None
        binding = request.peer.binding
        return self._remember(planning.decide(worker, startup, demand, who.entry, binding))

    def _state_for(self, entry: PoolEntry, startup: StartupMessage) -> SessionState:
        settings = startup.settings()
        if self._candidate is not None:
            settings = {**self._candidate.parameters, **settings}
        state = entry.states.get(settings) or welcome.find_state(self._worker, entry, settings)
        if not self._worker.pools.owns(entry):  # a reload has been quicker
            raise ClientError(Severity.FATAL, SqlState.ADMIN_SHUTDOWN, "the pool has been removed")
        return state

    def _remember(self, decision: Decision) -> Decision:
        if self._key is not None:
            self._plans.put(self._key, decision)
        return decision

    def _follow(self, decision: Decision) -> None:
        """Let the client in as decided; if that is open still, when it has proved who it is."""
        self._startup = decision.startup
        if not decision.is_open:
            self._hand_over(decision)
            return
        self._enter()
        self._proof = self._worker.proofs[self._client] = AsyncResult()
        self._hand_over(decision)
        end = self._proof.get()
        if end is None:
            self._welcome(decision)
        elif end is Reason.REFUSED and self._candidate is not None:
            self._candidate.refused()

    def _hand_over(self, decision: Decision) -> None:
        """Give the client to the engine, which has its descriptor from here on."""
        worker = self._worker
        client = self._enter()
        fd, tls, early = self._arrival.release()
        self._is_engines, self._unsent = True, b""  # the plan has that too
        try:
            worker.engine.login(client, decision.plan, fd, tls, self._arrival.spent_ms, early)
        except BaseException:
            worker.engine.forget(client)
            os.close(fd)
            raise
        if decision.entry is not None and not decision.is_open:
            check_query.on_client(worker, decision.entry)

    def _welcome_in_time(self, decision: Decision) -> None:
        with gevent.Timeout(self._timeout_s, LoginTimeout()):  # the engine's own is over before
            self._welcome(decision)

    def _welcome(self, decision: Decision) -> None:
        """Find the terms on which a client is let in that has proved who it is, and let it in."""
        worker, client = self._worker, self._client
        entry = self._arrive(decision)
        state = self._state_for(entry, decision.startup)
        decision = self._remember(planning.complete(worker, decision, entry, state))
        if self._is_asked and worker.engine.welcome(client, decision.plan):
            check_query.on_client(worker, entry)

    def _arrive(self, decision: Decision) -> PoolEntry:
        """Return the pool that the client comes to, which now has what the client has proved."""
        worker, who, entry = self._worker, self._candidate, decision.entry
        credential = self._shown or credential_of(
            decision.secret, worker.engine.proof(self._client)
        )
        if who is not None and who.is_guest:
            entry = who.proved(worker)
            self._on_end = partial(who.left, worker, entry)
        if entry is None:
            raise database_does_not_exist(decision.startup.database)
        entry.pass_on(credential)
        return entry

    @property
    def _is_asked(self) -> bool:
        """Whether the engine has this session's client, and will want a word about it."""
        return self._proof is not None and self._worker.proofs.get(self._client) is self._proof

    # ---- the admin -------------------------------------------------------------------------

    def _log_in_admin(
        self, startup: StartupMessage, request: Request, rule: HbaRule
    ) -> Callable[[], None]:
        may_use_reserve = startup.user == self._worker.config.general.admin_username
        self._enter_here(startup, may_use_reserve)
        self._visit = Visit.TLS if self._arrival.tls is not None else Visit.PLAIN
        self._authenticate_admin(request, rule)
        self._welcome_admin(startup)
        rights = Rights.ADMIN if may_use_reserve else Rights.STATS
        names = startup.user, startup.database
        return partial(self._serve_admin, Speaker(*names, self._client, rights, startup.parameters))

    def _authenticate_admin(self, request: Request, rule: HbaRule) -> None:
        worker, general = self._worker, self._worker.config.general
        if request.user != general.admin_username:
            account = access.stats_account(worker, request.user)
        elif self._arrival.family != socket.AF_UNIX and general.admin_password in _NO_PASSWORDS:
            raise ClientError(
                Severity.FATAL,
                SqlState.INVALID_AUTHORIZATION_SPECIFICATION,
                "the admin console is closed to the network",
                'Set admin_password to something other than "admin", or use the UNIX socket.',
            )
        else:
            account = access.admin_account(worker)
        self._authenticate(request, access.demand(worker, rule, request, account))
        if account is None:
            raise role_does_not_exist(request.user)

    def _welcome_admin(self, startup: StartupMessage) -> None:
        length = LONG_KEY_BYTES if startup.takes_long_cancel_keys else SHORT_KEY_BYTES
        key = self._worker.engine.client_key(self._client, length)
        statuses = (backend.parameter_status(*each) for each in WELCOME_PARAMETERS.items())
        key_data = backend.backend_key_data(self._client, key)
        self._send(b"".join(statuses) + key_data + backend.ready_for_query())
        row = self._worker.segment.client_row(self._client)
        if row is not None and self._worker.config.general.log_client_connections:
            log_login(row)

    def _serve_admin(self, speaker: Speaker) -> None:
        """Stay: the console is spoken here, in Python."""
        worker = self._worker
        worker.consoles.add(gevent.getcurrent())
        how = self._arrival.early, gevent.sleep, self._cancels
        reason = admin_session.serve(self._arrival.sock, worker.console, speaker, *how)
        row = worker.segment.client_row(self._client)
        if row is not None and worker.config.general.log_client_disconnections:
            log_departure(row, reason)
        take_leave(self._arrival.sock)

    def _cancels(self) -> int:
        row = self._worker.segment.client_row(self._client)
        return row.cancels if row is not None else 0

    # ---- steps of both ---------------------------------------------------------------------

    def _enter(self, may_use_reserve: bool = False) -> int:
        """Claim a row; the admin may use those kept back, to see why everyone else may not."""
        if self._client:
            return self._client
        worker = self._worker
        client = worker.engine.enter(may_use_reserve, self._arrival.where)
        if not client:
            raise ClientError(
                Severity.FATAL, SqlState.TOO_MANY_CONNECTIONS, "sorry, too many clients already"
            )
        try:
            limits.check_count(worker, client, self._arrival.host, may_use_reserve)
        except ClientError:
            worker.engine.forget(client)  # at once: while it is told it takes no other's place
            raise
        self._client = client
        return client

    def _enter_here(self, startup: StartupMessage, may_use_reserve: bool = False) -> None:
        """The same for one that proves itself here, so that others see who tries."""
        client, engine = self._enter(may_use_reserve), self._worker.engine
        application = startup.parameters.get("application_name", "")
        engine.names(client, startup.user, startup.database, application)
        if self._arrival.tls is not None:
            engine.encrypted(client, self._arrival.tls.session)

    def _authenticate(self, request: Request, demand: Demand) -> Credential | None:
        """Run the exchange here; AuthenticationOk is then unsent, to leave with what follows it.

        Raises: ClientError.
        """
        exchange = access.exchange(self._worker, request, demand)
        self._unsent += exchange.start()
        while exchange.state is not AuthState.SUCCEEDED:
            self._send(b"")
            data, self._arrival.early = self._arrival.early, b""
            self._unsent += exchange.feed(data or self._arrival.receive())
        self._arrival.early += exchange.take_rest()
        return exchange.credential

    def _send(self, data: bytes) -> None:
        data, self._unsent = self._unsent + data, b""
        if data:
            self._arrival.sock.sendall(data)

    def _refuse(self, error: ClientError | None) -> None:
        """Say why, as far as the client listens. None: it has not said enough to be answered."""
        if not self._is_engines or self._is_asked:  # else the engine has been quicker, and counts
            self._worker.engine.refused(refusals.refusal_of(error))
        log_refusal(self._startup, self._arrival.where, error)
        if error is None:
            return
        if self._is_engines:
            self._dismiss(error)
            return
        try:
            self._arrival.open().settimeout(1.0)
            self._send(error.response())
            take_leave(self._arrival.sock)
        except OSError as exc:
            log.debug("%s: gone before it was told: %s", self._name, exc)
        except ClientError as exc:  # `Listeners.dismiss`: the worker waits for nobody any more
            log.debug("%s: left while it was told: %s", self._name, exc)

    def _dismiss(self, error: ClientError) -> None:
        """Have the engine say it, wherever it is with this client; its goodbye follows."""
        engine, client = self._worker.engine, self._client
        if self._is_asked and not engine.dismiss(client, error.response()):
            engine.kill(client, Reason.REFUSED, error.fields.sqlstate, error.message)


def _nothing() -> None:
    """All has been done."""
