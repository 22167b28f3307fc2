"""Open a server connection: connect, log in, give it to the engine. One greenlet a connection.

Law: every place that the engine gave away with an OPEN event goes back to it, by `server_opened`
or by `server_failed`, at once: nobody sleeps on one. `failure.py` says what a failure means: while
PostgreSQL cannot be reached its clients wait (query_wait_timeout), and the engine spreads out the
next attempts, one at a time; what PostgreSQL itself refuses, its clients are told in PostgreSQL's
words, unless other servers of the pool still work.
Partner: `auth/server_login.py`, the machine without a socket.
"""

from __future__ import annotations

import random

import gevent
from gevent import socket

from greenpool.auth.server_login import LoginState, ServerGreeting, ServerLogin
from greenpool.errors import EngineError, ReportedError
from greenpool.protocol.encryption import Step, steps
from greenpool.protocol.errors import SqlState
from greenpool.protocol.frontend import PROTOCOL_3_0
from greenpool.records import Ailment, Event
from greenpool.worker import dial, openings, server_tls, suspects
from greenpool.worker.failure import LoginFailure, LoginRefused, judge
from greenpool.worker.password_source import PasswordUnknown
from greenpool.worker.pools import PoolEntry
from greenpool.worker.server_tls import HandshakeFailed
from greenpool.worker.state import Worker
from greenpool.worker.tls_socket import AnySocket, TlsSocket, facts_of, unwrap

LIFETIME_JITTER = 0.2
"""Server lifetimes vary by this share, so that a pool opened at once does not end at once."""

_RECV_BYTES = 16384
_NS_PER_MS = 1_000_000

# Refusals that another password may end.
_WRONG_PASSWORD = frozenset(
    {SqlState.INVALID_PASSWORD, SqlState.INVALID_AUTHORIZATION_SPECIFICATION}
)

# How servers, and poolers before them, that have never heard of protocol 3.2 refuse to negotiate.
_TOO_NEW = frozenset({SqlState.FEATURE_NOT_SUPPORTED, SqlState.PROTOCOL_VIOLATION})


def on_event(worker: Worker, event: Event) -> None:
    """Open the server that the engine asks for. Greenlet. Switches: yes."""
    entry = worker.pools.at(event.pool)
    if entry is None or (entry.is_locked and not _has_waiters(worker, entry.index)):
        worker.engine.server_failed(event.pool, event.slot, Ailment.NOTHING)
        return
    if worker.engine.spare(event.pool, event.slot):
        return
    try:
        sock, greeting = _log_in_by_password(worker, entry)
    except (LoginRefused, ReportedError, PasswordUnknown, OSError) as exc:
        _on_failure(worker, entry, event, exc)
    except BaseException:
        worker.engine.server_failed(event.pool, event.slot, Ailment.NOTHING)
        raise
    else:
        if _is_ailing(worker, entry.index):
            openings.log_recovery(entry)
        entry.learn(greeting.parameters)
        _give(worker, entry, event, sock, greeting)


def _log_in_by_password(worker: Worker, entry: PoolEntry) -> tuple[AnySocket, ServerGreeting]:
    """Log in, and once more if PostgreSQL refuses a password that has been replaced meanwhile."""
    source = entry.passwords
    if source is None:
        return _log_in(worker, entry)
    ttl_s = entry.user.server_password_ttl_ms / 1000
    number = source.ensure(worker.threads, worker.now_s(), ttl_s)
    try:
        return _log_in(worker, entry)
    except LoginRefused as exc:
        if exc.fields.sqlstate not in _WRONG_PASSWORD or not _renewed(worker, entry, number):
            raise
    openings.log_password(entry, None)
    return _log_in(worker, entry)


def _renewed(worker: Worker, entry: PoolEntry, refused: int) -> bool:
    """Say whether there is another password; that there is none to be had is logged."""
    assert entry.passwords is not None
    try:
        return entry.passwords.renew(worker.threads, worker.now_s(), refused)
    except PasswordUnknown as exc:
        openings.log_password(entry, exc)
        return False


def _log_in(worker: Worker, entry: PoolEntry) -> tuple[AnySocket, ServerGreeting]:
    """Connect and log in within connect_timeout, as a whole."""
    deadline = gevent.Timeout(entry.pool.connect_timeout_ms / 1000)
    try:
        with deadline:
            return _negotiate(worker, entry)
    except gevent.Timeout as exc:
        if exc is not deadline:
            raise
        address = dial.address_of(entry.pool)
        raise dial.ConnectFailed(
            f'login to server at "{address}" failed: timeout expired'
        ) from None


def _negotiate(worker: Worker, entry: PoolEntry) -> tuple[AnySocket, ServerGreeting]:
    """Log in with the newest protocol that goes, and remember which one that is.

    PostgreSQL negotiates downwards by itself, since 2017; what cannot is asked again in 3.0.
    """
    try:
        return _attempt(worker, entry)
    except LoginRefused as exc:
        if entry.version == PROTOCOL_3_0 or exc.fields.sqlstate not in _TOO_NEW:
            raise
        openings.log_lower_protocol(entry, exc)
        entry.version = PROTOCOL_3_0
        return _attempt(worker, entry)


def _attempt(worker: Worker, entry: PoolEntry) -> tuple[AnySocket, ServerGreeting]:
    """Log in the one way or the other, as far as server_tls_mode allows both."""
    first, *others = steps(entry.pool.server_host, entry.pool.server_tls_mode)
    try:
        return _try(worker, entry, first)
    except (LoginRefused, HandshakeFailed) as exc:
        if not others or not _may_be_encryption(exc):
            raise
        try:
            return _try(worker, entry, others[0])
        except dial.ConnectFailed:  # it has no TLS: its first word is the better one
            raise exc from None


def _may_be_encryption(exc: LoginRefused | HandshakeFailed) -> bool:
    """Whether the same login may pass with encryption, or without it, as pg_hba.conf may say."""
    if isinstance(exc, HandshakeFailed):
        return True
    return exc.fields.sqlstate == SqlState.INVALID_AUTHORIZATION_SPECIFICATION


def _try(worker: Worker, entry: PoolEntry, step: Step) -> tuple[AnySocket, ServerGreeting]:
    raw = dial.connect(entry.pool, worker.config.general)
    try:
        sock = server_tls.secure(worker, entry.pool, raw, step)
        greeting = _converse(sock, _machine(worker, entry, sock))
        suspects.at_login(worker, entry, sock, greeting.parameters)
        _check_silence(sock)
        return sock, greeting
    except BaseException:  # a deadline is not an Exception
        raw.close()
        raise


def _machine(worker: Worker, entry: PoolEntry, sock: AnySocket) -> ServerLogin:
    facts = facts_of(sock)
    parameters = dict(entry.user.startup_parameters)
    if entry.pool.application_name is not None:
        parameters["application_name"] = entry.pool.application_name
    return ServerLogin(
        entry.server_user,
        entry.pool.server_database,
        parameters,
        entry.credential,
        derive=worker.keys,
        version=entry.version,
        is_encrypted=facts is not None,
        binding=facts.binding if facts is not None else b"",
    )


def _converse(sock: AnySocket, login: ServerLogin) -> ServerGreeting:
    """Carry bytes between the socket and the machine until the login has ended."""
    out = login.start()
    while login.greeting is None:
        if out:
            sock.sendall(out)
        data = sock.recv(_RECV_BYTES)
        if not data:
            raise dial.ConnectFailed("server closed the connection during login")
        out = login.feed(data)
        if login.state is LoginState.FAILED and login.error is not None:
            raise LoginRefused(login.error)
    if login.take_rest():
        raise dial.ConnectFailed("server sent more than its greeting at login")
    return login.greeting


def _check_silence(sock: AnySocket) -> None:
    """See that nothing is left in the TLS session, where the engine would not find it."""
    if isinstance(sock, TlsSocket) and sock.drain():
        raise dial.ConnectFailed("server sent more than its greeting at login")


def _give(
    worker: Worker, entry: PoolEntry, event: Event, sock: AnySocket, greeting: ServerGreeting
) -> None:
    jitter = random.uniform(1 - LIFETIME_JITTER, 1 + LIFETIME_JITTER)
    lifetime_ns = int(entry.user.server_lifetime_ms * jitter) * _NS_PER_MS
    address = dial.address_of(entry.pool)
    facts = facts_of(sock)
    fd, tls, _ = unwrap(sock)
    try:
        worker.engine.server_opened(
            *(event.pool, event.slot, fd, tls),
            *(greeting.backend_pid, greeting.cancel_key, lifetime_ns, address),
        )
    except EngineError as exc:  # it has freed the place itself
        socket.socket(fileno=fd).close()
        openings.log_unusable(entry, exc)
        return
    openings.log_opened(entry, event.slot, greeting, address, facts)


def _on_failure(worker: Worker, entry: PoolEntry, event: Event, exc: LoginFailure) -> None:
    failure = judge(exc)
    if failure.sqlstate and _has_servers(worker, entry.index):
        failure = failure.passing()
    if entry.news.has(str(exc), worker.now_s()):
        openings.log_failure(entry, exc)
    worker.engine.server_failed(
        *(event.pool, event.slot, failure.ailment, failure.sqlstate, failure.message)
    )


def _has_servers(worker: Worker, index: int) -> bool:
    row = worker.segment.pool_row(index)
    return row is not None and row.sv_active + row.sv_idle > 0


def _is_ailing(worker: Worker, index: int) -> bool:
    row = worker.segment.pool_row(index)
    return row is not None and row.ailing != 0


def _has_waiters(worker: Worker, index: int) -> bool:
    row = worker.segment.pool_row(index)
    return row is not None and row.cl_waiting > 0
