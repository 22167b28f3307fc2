"""What the table says about one configuration key, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from greenpool.config.tree import Mark, Node

_TABLE = Mark("<table>", 0, 0)


class Section(Enum):
    """Where a key may stand; the value is its letter in the table's `where` column."""

    GENERAL = "G"
    POOL = "P"
    USER = "U"
    AUTH_QUERY = "A"
    WEB = "W"


class Reload(Enum):
    """What it takes to change a key in a running greenpool."""

    LIVE = "R"  # SIGHUP
    RESTART = "S"  # an upgrade or a restart


class Status(Enum):
    """The support status of a key whose feature is there."""

    BUILT = "built"


class Invalid(ValueError):
    """What is wrong with a value, worded for the user; no secret is ever part of it."""

    def each(self, mark: Mark) -> list[tuple[Mark, str]]:
        """Return every problem with its place; `mark` is the value's own."""
        return [(mark, str(self))]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: `name` for the reference, how to `read` it (raises Invalid) and show it.

    `suffix` is the unit of what `read` returns, as the attribute's name ends; `unset` stands for
    a key that has neither a value nor a default.
    """

    name: str
    read: Callable[[Node, Key], Any]
    show: Callable[[Any], str] = str
    suffix: str = ""
    unset: object = None
    is_secret: bool = False


Literal = str | int | bool | None  # a value as a configuration file would write it


@dataclass(frozen=True, slots=True)
class Key:
    """A row of the table.

    `where` lists the sections in letters; the first is the key's home, the others override it.
    `default` is written as in a file; None: not set.
    `today` is the support status: BUILT, or the values (as in a file) that mean what the program
    does without the feature. Anything else is refused, and the first stands for a key not set.
    """

    name: str
    where: str
    kind: Kind
    default: Literal
    doc: str
    reload: Reload = Reload.LIVE
    bounds: tuple[int, int] | None = None
    choices: type[StrEnum] | None = None
    aliases: tuple[str, ...] = ()
    required: bool = False
    today: tuple[Literal, ...] | Status = Status.BUILT

    @property
    def home(self) -> Section:
        """The section that the key belongs to."""
        return Section(self.where[0])

    @property
    def attribute(self) -> str:
        """The name in the dataclasses: the key's, with its unit."""
        return self.name + self.kind.suffix

    @property
    def is_built(self) -> bool:
        """Whether every valid value is accepted."""
        return self.today is Status.BUILT

    def literal(self, value: Literal) -> Any:
        """Return the typed value of what a file could say; None gives the kind's unset value."""
        if value is None:
            return self.kind.unset
        return self.kind.read(Node(value, _TABLE), self)

    def effective_default(self) -> Any:
        """Return the value of a key that is not set, in the program as it is today."""
        return self.literal(self.default if isinstance(self.today, Status) else self.today[0])

    def accepts(self, value: object) -> bool:
        """Say whether the program as it is today does what this value asks for."""
        if isinstance(self.today, Status):
            return True
        return any(value == self.literal(today) for today in self.today)

    def show(self, value: Any) -> str:
        """Write a value as SHOW CONFIG and the reference print it; secrets are masked."""
        return "" if value is None else self.kind.show(value)
