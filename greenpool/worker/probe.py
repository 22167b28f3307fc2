"""Ask a pool's servers something, as a client of the pool like any other.

A question goes through the engine over a socketpair: it waits its turn, takes a server within
the limits, makes one be opened if there is none, and gets PostgreSQL's own error if none can be.
So a login here never needs a server connection beside the pool.
"""

from __future__ import annotations

import os

from gevent import socket

from greenpool.login import Challenge, LoginPlan, Terms
from greenpool.protocol import frontend
from greenpool.protocol.body import Body
from greenpool.protocol.errors import ClientError, ErrorFields, Severity, SqlState
from greenpool.protocol.frame import FrameReader
from greenpool.protocol.message import BackendType, Message
from greenpool.records import LoginMethod
from greenpool.worker.pools import PoolEntry
from greenpool.worker.startup_state import RESET
from greenpool.worker.state import Worker

MAX_ANSWER_BYTES = 1 << 20
"""Bound of one message of the answer: rows are settings, PostgreSQL's own limit is lower."""


class Refused(ClientError):
    """What PostgreSQL, or the pool, answered instead: passed on as the end of the login."""

    def __init__(self, fields: ErrorFields) -> None:
        super().__init__(Severity.FATAL, SqlState.CONNECTION_FAILURE, fields.message)
        self.fields = ErrorFields(
            tuple((code, "FATAL" if code in ("S", "V") else value) for code, value in fields.fields)
        )


def ask(worker: Worker, entry: PoolEntry, sql: str) -> dict[str, str]:
    """Run `sql` on a fresh server state, return its rows of (name, value), NULLs left out.

    Switches: yes, for as long as the pool lets its clients wait; the caller has a deadline.
    Raises: Refused with the pool's or PostgreSQL's words; ClientError.
    """
    rows: dict[str, str] = {}
    for message in answer(worker, entry, sql):
        _take(message, rows)
    return rows


def answer(worker: Worker, entry: PoolEntry, sql: str) -> list[Message]:
    """Run `sql` on a fresh server state, return all that is answered, ReadyForQuery included.

    Switches: yes, as `ask`. Raises: Refused, ClientError.
    """
    ours, theirs = socket.socketpair()
    try:
        _become_client(worker, entry, theirs)
        ours.sendall(frontend.query(sql))
        return _read_answer(ours)
    except OSError as exc:
        raise _closed() from exc
    finally:
        ours.close()


def _become_client(worker: Worker, entry: PoolEntry, sock: socket.socket) -> None:
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
    worker.clients.add(client, fd, is_own=True)
    try:
        worker.engine.login(client, plan, fd)
    except BaseException:
        worker.clients.remove(client)
        worker.engine.forget(client)
        os.close(fd)
        raise


def _read_answer(sock: socket.socket) -> list[Message]:
    reader = FrameReader(BackendType, MAX_ANSWER_BYTES)
    messages: list[Message] = []
    while data := sock.recv(16384):
        for message in reader.feed(data):
            if message.type is BackendType.ERROR_RESPONSE:
                raise Refused(ErrorFields.parse(message.body))
            messages.append(message)
            if message.type is BackendType.READY_FOR_QUERY:
                return messages
    raise _closed()


def _take(message: Message, rows: dict[str, str]) -> None:
    if message.type is not BackendType.DATA_ROW:
        return
    body = Body(message.body)
    name, value = (_column(body) for _ in range(body.u16()))
    if name is not None and value is not None:
        rows[name] = value


def _closed() -> ClientError:
    """Make the error for a pool that ended without a word while it was asked."""
    return ClientError(Severity.FATAL, SqlState.CONNECTION_FAILURE, "the pool has been closed")


def _column(body: Body) -> str | None:
    length = body.i32()
    return None if length < 0 else body.take(length).decode("utf-8", "surrogateescape")
