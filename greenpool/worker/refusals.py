"""The words for clients that are not let in, and what they are counted as."""

from __future__ import annotations

from greenpool.errors import ReportedError
from greenpool.protocol.errors import (
    ClientError,
    ErrorFields,
    Severity,
    SqlState,
    database_does_not_exist,
    role_does_not_exist,
)
from greenpool.protocol.startup import StartupMessage
from greenpool.records import Refusal
from greenpool.worker.access import Demand
from greenpool.worker.limits import AddressLimitReached

# By SQLSTATE or its class, as in entrance.c: invalid authorization, insufficient resources.
_KINDS = {
    "28": Refusal.IDENTITY,
    "53": Refusal.LIMIT,
    SqlState.QUERY_CANCELED: Refusal.TIMEOUT,
}


def refusal_of(error: ClientError | None) -> Refusal:
    """Return what a refusal is counted as. None: the client said too little in its time."""
    if error is None:
        return Refusal.TIMEOUT
    if isinstance(error, AddressLimitReached):
        return Refusal.ADDRESS
    sqlstate = error.fields.sqlstate
    return _KINDS.get(sqlstate, _KINDS.get(sqlstate[:2], Refusal.OTHER))


def out_of_time() -> ClientError:
    """Make the error for a client whose client_login_timeout is over."""
    message = "canceling authentication due to timeout"
    return ClientError(Severity.FATAL, SqlState.QUERY_CANCELED, message)


def nobody(startup: StartupMessage, demand: Demand) -> ClientError:
    """Make the error for one that need not prove anything (any more), and is not known here."""
    if demand.is_doomed:
        return role_does_not_exist(startup.user)
    return database_does_not_exist(startup.database)


def as_client_error(exc: ReportedError) -> ClientError:
    """Make what a client is told of an error that is PostgreSQL's, or greenpool's own."""
    error = ClientError(Severity.FATAL, SqlState.INTERNAL_ERROR, exc.message)
    error.fields = ErrorFields(
        (("S", "FATAL"), ("V", "FATAL"), ("C", exc.sqlstate), ("M", exc.message))
    )
    return error


def forgotten() -> ClientError:
    """Make the error for a client whose login took longer than anybody remembers what for."""
    message = "too many different logins are under way, connect again"
    return ClientError(Severity.FATAL, SqlState.TOO_MANY_CONNECTIONS, message)
