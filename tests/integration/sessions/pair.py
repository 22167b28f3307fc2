"""One client twice: on a direct connection, and through greenpool."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import pq

REPORTED = (
    b"application_name",
    b"DateStyle",
    b"TimeZone",
    b"is_superuser",
    b"search_path",
    b"standard_conforming_strings",
    b"default_transaction_read_only",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client is told about one text."""

    results: tuple[object, ...]
    transaction: int


class Session:
    """A connection that speaks as little of its own as possible."""

    def __init__(self, dsn: str, options: str = "") -> None:
        text = (
            f"{dsn}?options={options.replace(' ', '%20').replace('=', '%3D')}" if options else dsn
        )
        self.connection = pq.PGconn.connect(text.encode())
        assert self.connection.status == pq.ConnStatus.OK, self.connection.error_message
        self.connection.notice_handler = None

    def say(self, text: str, extended: bool = False) -> Outcome:
        """Send one text, as a Query or as Parse, Bind and Execute."""
        if extended:
            self.connection.send_query_params(text.encode(), None)
        else:
            self.connection.send_query(text.encode())
        results = []
        while result := self.connection.get_result():
            results.append(_told(result))
        return Outcome(tuple(results), self.connection.transaction_status)

    def reported(self) -> dict[bytes, bytes | None]:
        """Return the parameters that the server has reported, as far as it has been read."""
        return {name: self.connection.parameter_status(name) for name in REPORTED}

    @property
    def is_idle(self) -> bool:
        """Whether it is in no transaction."""
        return self.connection.transaction_status == pq.TransactionStatus.IDLE

    def begin_anew(self) -> None:
        self.say("rollback")
        last = self.say("discard all")
        assert last.results == ((pq.ExecStatus.COMMAND_OK, None, b"DISCARD ALL", ()),), last

    def close(self) -> None:
        self.connection.finish()


class Pair:
    """Both sessions of one client; whatever it says must not tell them apart."""

    def __init__(self, direct: Session, pooled: Session) -> None:
        self.direct = direct
        self.pooled = pooled

    def say(self, text: str, extended: bool = False) -> None:
        """Say it on both sides and compare what comes back."""
        heard, truth = self.pooled.say(text, extended), self.direct.say(text, extended)
        if heard != truth:
            raise AssertionError(f"{text.strip()}\n\nthrough greenpool: {heard}\ndirectly: {truth}")

    def look(self, text: str, extended: bool = False) -> None:
        """Say it, and compare also what was reported: a RESET may be reported a little later."""
        self.say(text, extended)
        heard, truth = self.pooled.reported(), self.direct.reported()
        assert heard == truth

    def begin_anew(self) -> None:
        self.direct.begin_anew()
        self.pooled.begin_anew()

    def close(self) -> None:
        self.direct.close()
        self.pooled.close()


def _told(result: pq.abc.PGresult) -> tuple[object, ...]:
    rows = tuple(
        tuple(result.get_value(row, column) for column in range(result.nfields))
        for row in range(result.ntuples)
    )
    sqlstate = result.error_field(pq.DiagnosticField.SQLSTATE)
    return result.status, sqlstate, result.command_status, rows
