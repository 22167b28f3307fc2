"""What a console statement is and what it gives: values that pass between the console's files.

A statement is planned first (its columns are known, nothing has happened) and run later: the
extended protocol asks for the columns at Describe and for the rows at Execute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from greenpool.protocol.backend import Column

Value = int | str | None
"""What a column of a row holds: an int in a column of an integer type, a bool in one of type bool,
else a str."""

Row = Sequence[Value]


Pending = Callable[[], bool]
"""Whether a command that was given is over now. Raises: ClientError when it never will be."""


class Effect(Enum):
    """What a statement does to the session that runs it; the conversation carries it out."""

    NONE = auto()
    BEGIN = auto()
    END = auto()  # COMMIT and ROLLBACK: there is nothing to undo
    DEALLOCATE = auto()  # forget the prepared statement `Plan.name`, or all of them without one


@dataclass(frozen=True, slots=True)
class AdminResult:
    """The outcome of a statement that ran. Without columns it returns no rows at all.

    `rows` may be made while they are read, and can be read once.
    """

    columns: tuple[Column, ...]
    rows: Iterable[Row]
    tag: str
    is_done: Pending


def no_rows() -> Iterable[Row]:
    """Give no rows: what a statement without columns runs."""
    return ()


def at_once() -> bool:
    """Say that it is over: for statements that nobody has to wait for."""
    return True


def no_command() -> Pending:
    """Do nothing."""
    return at_once


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement that was understood. An empty `tag` means that there was no statement.

    `command` does something whose end may be long in coming; the answer waits for it.
    """

    tag: str
    columns: tuple[Column, ...] = ()
    rows: Callable[[], Iterable[Row]] = no_rows
    effect: Effect = Effect.NONE
    name: str = ""
    command: Callable[[], Pending] = no_command

    def complete(self, rows: int) -> str:
        """Return the tag of CommandComplete: that of SELECT has the number of rows."""
        return f"{self.tag} {rows}" if self.tag == "SELECT" else self.tag

    def run(self) -> AdminResult:
        """Do what the statement says, once for every call."""
        is_done = self.command()
        return AdminResult(self.columns, self.rows(), self.tag, is_done)
