"""Ask a pool's servers something, as a client of the pool like any other.

A question goes through the engine over a socketpair: it waits its turn, takes a server within
the limits, makes one be opened if there is none, and gets PostgreSQL's own error if none can be.
So a login here never needs a server connection beside the pool.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gevent import socket

from greenpool.login import Challenge, LoginPlan, Terms
from greenpool.protocol import frontend
from greenpool.protocol.body import Body
from greenpool.protocol.errors import ClientError, ErrorFields, Severity, SqlState
from greenpool.protocol.frame import FrameReader
from greenpool.protocol.message import BackendType, Message
from greenpool.records import LoginMethod
from greenpool.worker.startup_state import RESET

if TYPE_CHECKING:
    from greenpool.worker.pools import PoolEntry
    from greenpool.worker.state import Worker
    from greenpool.worker.tls_socket import AnySocket

MAX_ANSWER_BYTES = 1 << 20
"""Bound of one message of the answer: rows are settings, PostgreSQL's own limit is lower."""


class Refused(ClientError):
    """What PostgreSQL, or the pool, answered instead: passed on as the end of the login."""

    def __init__(self, fields: ErrorFields) -> None:
        super().__init__(Severity.FATAL, SqlState.CONNECTION_FAILURE, fields.message)
        self.sqlstate = fields.sqlstate
        self.fields = ErrorFields(
            tuple((code, "FATAL" if code in ("S", "V") else value) for code, value in fields.fields)
        )


def ask(worker: Worker, entry: PoolEntry, sql: str) -> dict[str, str]:
    """Run `sql` on a fresh server state, return its rows of (name, value), NULLs left out.

    Switches: yes, for as long as the pool lets its clients wait; the caller has a deadline.
    Raises: Refused with the pool's or PostgreSQL's words; ClientError.
    """
    messages = answer(worker, entry, frontend.query(sql))
    rows = (row_of(message) for message in messages)
    pairs = (row for row in rows if row is not None)
    return {name: value for name, value in pairs if name is not None and value is not None}


def answer(worker: Worker, entry: PoolEntry, request: bytes) -> list[Message]:
    """Send messages, the last a Query or Sync, in a fresh server state; return all of the answer.

    Switches: yes, as `ask`. Raises: Refused, ClientError.
    """
    ours, theirs = socket.socketpair()
    try:
        _become_client(worker, entry, theirs)
        return converse(ours, request)
    except OSError as exc:
        raise _closed() from exc
    finally:
        ours.close()


def converse(sock: AnySocket, request: bytes) -> list[Message]:
    """Send messages, return all that is answered, ReadyForQuery included.

    Switches: yes. Raises: Refused when all is said, ClientError if it ends before; OSError.
    """
    sock.sendall(request)
    reader = FrameReader(BackendType, MAX_ANSWER_BYTES)
    messages: list[Message] = []
    error: ClientError | None = None
    while data := sock.recv(16384):
        for message in reader.feed(data):
            if message.type is BackendType.ERROR_RESPONSE:
                error = Refused(ErrorFields.parse(message.body))
            messages.append(message)
            if message.type is BackendType.READY_FOR_QUERY:
                if error is not None:
                    raise error
                return messages
    raise error or _closed()


def row_of(message: Message) -> tuple[str | None, ...] | None:
    """Return the columns of a DataRow; None: it is something else."""
    if message.type is not BackendType.DATA_ROW:
        return None
    body = Body(message.body)
    return tuple(_column(body) for _ in range(body.u16()))


def _become_client(worker: Worker, entry: PoolEntry, sock: socket.socket) -> None:
    if not worker.pools.owns(entry):  # nothing switches from here to `serve`
        sock.close()
        raise _closed()
    client = worker.engine.enter(True, "greenpool")
    if not client:
        sock.close()
        raise ClientError(
            Severity.FATAL, SqlState.TOO_MANY_CONNECTIONS, "sorry, too many clients already"
        )
    challenge = Challenge(LoginMethod.NONE, entry.user.username)
    terms = Terms(entry.index, state_hash=0, state_sql=RESET.encode(), look_sql=b"")
    plan = LoginPlan(challenge, terms, database=entry.pool.name, application="greenpool")
    fd = sock.detach()
    try:
        worker.engine.login(client, plan, fd)
    except BaseException:
        worker.engine.forget(client)
        os.close(fd)
        raise


def _closed() -> ClientError:
    """Make the error for a pool that ended without a word while it was asked."""
    return ClientError(Severity.FATAL, SqlState.CONNECTION_FAILURE, "the pool has been closed")


def _column(body: Body) -> str | None:
    length = body.i32()
    return None if length < 0 else body.take(length).decode("utf-8", "surrogateescape")
