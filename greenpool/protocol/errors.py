"""ErrorResponse and NoticeResponse: their fields, the SQLSTATEs greenpool uses, `ClientError`.

Law: whatever a client is told to have done wrong, or is refused, is a `ClientError`; its text and
SQLSTATE are PostgreSQL's where PostgreSQL has one. An error that PostgreSQL sent is kept field
for field (`ErrorFields.parse`) and passed on without change.
Source: "Error and Notice Message Fields"; appendix "PostgreSQL Error Codes".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from greenpool.errors import ReportedError
from greenpool.protocol.body import Body, MalformedBody
from greenpool.protocol.message import BackendType, build, cstring


class Severity(StrEnum):
    """Severities in their untranslated form. FATAL if and only if the connection is closed."""

    ERROR = "ERROR"
    FATAL = "FATAL"
    PANIC = "PANIC"
    WARNING = "WARNING"
    NOTICE = "NOTICE"
    DEBUG = "DEBUG"
    INFO = "INFO"
    LOG = "LOG"


class SqlState(StrEnum):
    """The SQLSTATEs that greenpool itself reports, under PostgreSQL's condition names."""

    WARNING = "01000"
    CONNECTION_EXCEPTION = "08000"
    SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION = "08001"
    SQLSERVER_REJECTED_ESTABLISHMENT_OF_SQLCONNECTION = "08004"
    CONNECTION_FAILURE = "08006"
    PROTOCOL_VIOLATION = "08P01"
    FEATURE_NOT_SUPPORTED = "0A000"
    INVALID_PARAMETER_VALUE = "22023"
    IDLE_IN_TRANSACTION_SESSION_TIMEOUT = "25P03"
    TRANSACTION_TIMEOUT = "25P04"
    INVALID_SQL_STATEMENT_NAME = "26000"
    INVALID_AUTHORIZATION_SPECIFICATION = "28000"
    INVALID_PASSWORD = "28P01"
    INVALID_CATALOG_NAME = "3D000"
    SYNTAX_ERROR = "42601"
    DUPLICATE_PREPARED_STATEMENT = "42P05"
    UNDEFINED_COLUMN = "42703"
    UNDEFINED_OBJECT = "42704"
    INSUFFICIENT_PRIVILEGE = "42501"
    OUT_OF_MEMORY = "53200"
    TOO_MANY_CONNECTIONS = "53300"
    CONFIGURATION_LIMIT_EXCEEDED = "53400"
    OBJECT_NOT_IN_PREREQUISITE_STATE = "55000"
    QUERY_CANCELED = "57014"
    ADMIN_SHUTDOWN = "57P01"
    CRASH_SHUTDOWN = "57P02"
    CANNOT_CONNECT_NOW = "57P03"
    DATABASE_DROPPED = "57P04"
    IDLE_SESSION_TIMEOUT = "57P05"
    SYSTEM_ERROR = "58000"
    INTERNAL_ERROR = "XX000"


class Field(Enum):
    """Field codes that are read by name; all others are kept under their letter."""

    SEVERITY_LOCALIZED = "S"
    SEVERITY = "V"
    SQLSTATE = "C"
    MESSAGE = "M"
    DETAIL = "D"
    HINT = "H"


@dataclass(frozen=True, slots=True)
class ErrorFields:
    """The fields of an ErrorResponse or NoticeResponse, as (code, value) in the order sent."""

    fields: tuple[tuple[str, str], ...]

    @classmethod
    def of(
        cls,
        severity: str,
        sqlstate: str,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
    ) -> ErrorFields:
        """Make the fields of an error of ours, in the order in which PostgreSQL sends them."""
        values = (
            (Field.SEVERITY_LOCALIZED, str(severity)),
            (Field.SEVERITY, str(severity)),
            (Field.SQLSTATE, str(sqlstate)),
            (Field.MESSAGE, message),
            (Field.DETAIL, detail),
            (Field.HINT, hint),
        )
        return cls(tuple((code.value, value) for code, value in values if value is not None))

    @classmethod
    def parse(cls, body: bytes) -> ErrorFields:
        """Read the body of an ErrorResponse or NoticeResponse. Raises: MalformedBody."""
        reader = Body(body)
        fields = []
        while (code := reader.u8()) != 0:
            if code > 127:
                raise MalformedBody(f"invalid field code {code} in error message")
            fields.append((chr(code), reader.cstring()))
        reader.end()
        return cls(tuple(fields))

    def get(self, field: Field) -> str | None:
        """Return a field's value, or None if it was not sent."""
        return next((value for code, value in self.fields if code == field.value), None)

    @property
    def severity(self) -> str:
        """The untranslated severity; servers before 9.6 sent only the localized one."""
        return self.get(Field.SEVERITY) or self.get(Field.SEVERITY_LOCALIZED) or ""

    @property
    def sqlstate(self) -> str:
        """The SQLSTATE, empty if none was sent."""
        return self.get(Field.SQLSTATE) or ""

    @property
    def message(self) -> str:
        """The primary message, empty if none was sent."""
        return self.get(Field.MESSAGE) or ""

    @property
    def detail(self) -> str | None:
        """The detail, if any."""
        return self.get(Field.DETAIL)

    @property
    def hint(self) -> str | None:
        """The hint, if any."""
        return self.get(Field.HINT)

    def error_response(self) -> bytes:
        """Build an ErrorResponse of these fields."""
        return build(BackendType.ERROR_RESPONSE, self._body())

    def notice_response(self) -> bytes:
        """Build a NoticeResponse of these fields."""
        return build(BackendType.NOTICE_RESPONSE, self._body())

    def __str__(self) -> str:
        return f"{self.severity}: {self.message} ({self.sqlstate})"

    def _body(self) -> bytes:
        return b"".join(code.encode() + cstring(value) for code, value in self.fields) + b"\0"


class ClientError(ReportedError):
    """Something that a client is told: raise it, and the session sends `error_response(exc)`.

    The session closes the connection afterwards if and only if the severity is FATAL.
    """

    def __init__(
        self,
        severity: Severity,
        sqlstate: SqlState,
        message: str,
        hint: str | None = None,
        *,
        detail: str | None = None,
    ) -> None:
        super().__init__(message, sqlstate=sqlstate.value)
        self.fields = ErrorFields.of(severity, sqlstate, message, detail=detail, hint=hint)

    @property
    def severity(self) -> str:  # type: ignore[override]  # each has its own, not each class
        """ERROR, or FATAL if the connection ends with this error."""
        return self.fields.severity

    def response(self) -> bytes:
        """Build the bytes that tell it to the client: an ErrorResponse, as a rule."""
        return self.fields.error_response()


def error_response(error: ReportedError) -> bytes:
    """Build what tells a client of any error that is meant for one."""
    if isinstance(error, ClientError):
        return error.response()
    return ErrorFields.of(error.severity, error.sqlstate, error.message).error_response()


def protocol_violation(message: str, *, detail: str | None = None) -> ClientError:
    """Make the error for bytes that a client may not send; it ends the connection."""
    return ClientError(Severity.FATAL, SqlState.PROTOCOL_VIOLATION, message, detail=detail)


def password_authentication_failed(user: str) -> ClientError:
    """Make the one error for a wrong password, an unknown user and an expired secret."""
    message = f'password authentication failed for user "{user}"'
    return ClientError(Severity.FATAL, SqlState.INVALID_PASSWORD, message)


def authentication_failed(method: str, user: str) -> ClientError:
    """Make the error for whoever fails by another method than a password of ours."""
    message = f'{method} authentication failed for user "{user}"'
    return ClientError(Severity.FATAL, SqlState.INVALID_AUTHORIZATION_SPECIFICATION, message)


def database_does_not_exist(database: str) -> ClientError:
    """Make the error for an unknown database, which PostgreSQL gives after authentication."""
    message = f'database "{database}" does not exist'
    return ClientError(Severity.FATAL, SqlState.INVALID_CATALOG_NAME, message)


def role_does_not_exist(user: str) -> ClientError:
    """Make the error for an unknown user whom nobody asks for a password (trust)."""
    message = f'role "{user}" does not exist'
    return ClientError(Severity.FATAL, SqlState.INVALID_AUTHORIZATION_SPECIFICATION, message)
