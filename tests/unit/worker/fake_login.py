"""What the engine does with a client that logs in, in greenlets: real bytes, real proofs."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import gevent
from gevent import socket
from gevent.event import AsyncResult

from greenpool.auth.client_auth import as_client_error
from greenpool.login import RANDOM_BYTES, Challenge, LoginExchange, Terms
from greenpool.protocol import backend
from greenpool.protocol.errors import ClientError, Severity, SqlState
from greenpool.records import Event, EventKind, LoginMethod, Reason
from greenpool.worker import goodbye
from greenpool.worker.listener import Listeners


class FakePlan:
    """Stands for LoginPlan: keeps what it is made of."""

    def __init__(self, challenge: Challenge, terms: Terms | None = None, **more: Any) -> None:
        self.challenge = challenge
        self.terms = terms
        self.greeting: bytes = more.get("greeting", b"")
        self.timeout_s: float = more.get("timeout_ms", 0) / 1000
        self.tag: int = more.get("tag", 0)
        self.names = (challenge.user, more.get("database"), more.get("application"))


class FakeLogin:
    """One client that the engine has: it proves who it is, and is welcomed or refused."""

    def __init__(self, worker: Any, client: int, plan: FakePlan, fd: int, early: bytes) -> None:
        self._worker = worker
        self._client = client
        self._plan = plan
        self._fd = fd
        self._early = early
        self._verdict = AsyncResult()
        self.client_key: bytes | None = None
        self._sock = socket.socket(fileno=os.dup(fd))
        self._greenlet = gevent.spawn(self._run)

    def conclude(self, verdict: FakePlan | bytes) -> None:
        """Take the terms of an open plan, or its client's last words."""
        self._verdict.set(verdict)

    def _run(self) -> None:
        try:
            with gevent.Timeout(self._plan.timeout_s or None):
                self._live()
        except ClientError as exc:
            self._end(exc.response(), Reason.REFUSED)
        except gevent.Timeout:
            text = "canceling authentication due to timeout"
            error = ClientError(Severity.FATAL, SqlState.QUERY_CANCELED, text)
            self._end(error.response(), Reason.REFUSED)
        except ConnectionError:
            self._end(b"", Reason.LOGIN_LEFT)
        finally:
            self._sock.close()

    def _live(self) -> None:
        out, rest = self._prove()
        plan: FakePlan | bytes = self._plan
        if self._plan.terms is None:
            self._sock.sendall(out)
            out = b""
            event = Event(EventKind.PROVED, self._client, 0, 0, self._plan.tag)
            Listeners(self._worker, []).on_proved(event)
            plan = self._verdict.get()
        if isinstance(plan, bytes):
            self._end(plan, Reason.REFUSED)
            return
        assert plan.terms is not None
        key = backend.backend_key_data(self._client, bytes([self._client]) * plan.terms.key_bytes)
        self._worker.engine.served[self._client] = (plan.terms, self._fd, rest)
        self._sock.sendall(out + plan.terms.statuses + key + backend.ready_for_query())

    def _prove(self) -> tuple[bytes, bytes]:
        """Return what is still to be said, and what came behind the proof."""
        exchange = LoginExchange(self._plan.challenge, os.urandom(RANDOM_BYTES))
        out, data = self._plan.greeting + exchange.start(), self._early
        while not exchange.is_proved:
            self._sock.sendall(out)
            data = data or self._sock.recv(8192)
            if not data:
                raise ConnectionAbortedError
            out, data = exchange.feed(data), b""
            if exchange.fault is not None:
                raise as_client_error(exchange.fault)
        self.client_key = exchange.client_key()
        return out, data or exchange.take_rest()

    def _end(self, words: bytes, reason: Reason) -> None:
        with suppress(OSError):
            self._sock.sendall(words)
        gone = Event(EventKind.GOODBYE, self._client, 0, 0, int(reason))
        goodbye.on_event(self._worker, gone)


def is_own(plan: FakePlan) -> bool:
    """Whether a plan is that of a probe."""
    return plan.challenge.method is LoginMethod.NONE
