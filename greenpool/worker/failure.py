"""What a failed login at PostgreSQL says: of whom, and whether its clients are told at once. Pure.

    nobody there, no answer, hangs up     the server   may pass: clients wait (query_wait_timeout)
    starts, stops, recovers               the server   may pass
    too many connections                  the pool     may pass: others will end
    no password to be had (a command)     the pool     may pass
    any other refusal                     the pool     told, in PostgreSQL's words

Partner: `_cparser/outage.h`, which says what follows from it for the next login.
"""

from __future__ import annotations

from dataclasses import dataclass

from greenpool.errors import GreenpoolError, ReportedError
from greenpool.protocol.errors import ErrorFields, SqlState
from greenpool.records import Ailment
from greenpool.worker.dial import ConnectFailed
from greenpool.worker.password_source import PasswordUnknown

# The same question will soon have another answer, whichever pool asks.
_AWAY = frozenset({SqlState.CANNOT_CONNECT_NOW, SqlState.ADMIN_SHUTDOWN, SqlState.CRASH_SHUTDOWN})


class LoginRefused(GreenpoolError):
    """PostgreSQL answered with an error, or asked for what we do not have."""

    def __init__(self, fields: ErrorFields) -> None:
        super().__init__(f"{fields.message} ({fields.sqlstate})")
        self.fields = fields


LoginFailure = LoginRefused | ReportedError | PasswordUnknown | OSError
"""All that a login may fail by."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Who ails, and what is said. `sqlstate` of a refusal; empty: it may pass."""

    ailment: Ailment
    sqlstate: str
    message: str

    def passing(self) -> Failure:
        """Return the same for a pool that works nevertheless: nobody is refused."""
        return Failure(self.ailment, "", self.message)


def judge(exc: LoginFailure) -> Failure:
    """Say what a login's failure means."""
    if isinstance(exc, LoginRefused):
        return _refused(exc)
    if isinstance(exc, PasswordUnknown):
        return Failure(Ailment.POOL, "", str(exc))
    if isinstance(exc, ReportedError) and not isinstance(exc, ConnectFailed):
        return Failure(Ailment.POOL, exc.sqlstate, exc.message)
    return Failure(Ailment.SERVER, "", str(exc))


def _refused(exc: LoginRefused) -> Failure:
    if exc.fields.sqlstate in _AWAY:
        return Failure(Ailment.SERVER, "", str(exc))
    if exc.fields.sqlstate == SqlState.TOO_MANY_CONNECTIONS:
        return Failure(Ailment.POOL, "", str(exc))
    return Failure(Ailment.POOL, exc.fields.sqlstate, exc.fields.message)
