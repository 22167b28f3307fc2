"""What is measured: cases, how long, how often. Pure data and the reading of options."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import product
from typing import TypeVar

from benchmarks.errors import PlanError

POOL_SIZE = 20
"""Servers that each pooler may have: `default_pool_size` of PgBouncer, `pool_size` of greenpool."""

DIRECT_CLIENTS_MAX = 500
"""Clients that PostgreSQL serves without a pooler; with more, that column stays empty."""

T = TypeVar("T")


class Script(Enum):
    """What one transaction is; the value is the name in options, tables and files."""

    SELECT_ONLY = "select-only"  # pgbench -S: one row by primary key
    SELECT_X = "select-x"  # no table: as little of PostgreSQL as there can be

    @property
    def text(self) -> str | None:
        """The script for pgbench -f; None: it is built into pgbench."""
        return _TEXTS.get(self)


_TEXTS = {Script.SELECT_X: "\\set x random(1, 100000)\nselect :x;\n"}


class Mode(Enum):
    """The protocol, as pgbench -M names it."""

    SIMPLE = "simple"
    EXTENDED = "extended"


@dataclass(frozen=True, slots=True)
class Case:
    """Hold one thing to measure on every contender."""

    script: Script
    mode: Mode
    clients: int

    @property
    def title(self) -> str:
        noun = "client" if self.clients == 1 else "clients"
        return f"{self.script.value}, {self.mode.value}, {self.clients} {noun}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Hold all cases; each contender is measured `seconds` long in each of `rounds` rounds."""

    cases: tuple[Case, ...]
    seconds: float
    rounds: int

    @property
    def clients_max(self) -> int:
        return max(case.clients for case in self.cases)


@dataclass(frozen=True, slots=True)
class Preset:
    """Hold what is measured where no option says otherwise."""

    scripts: tuple[Script, ...]
    modes: tuple[Mode, ...]
    clients: tuple[int, ...]
    seconds: float
    rounds: int


FULL = Preset(tuple(Script), tuple(Mode), (1, 20, 100, 500), seconds=3.0, rounds=3)
QUICK = Preset((Script.SELECT_X,), tuple(Mode), (1, 20, 100), seconds=1.0, rounds=2)
"""48 runs of two seconds and a little: ends within three minutes, on a busy machine too."""


def make_plan(
    scripts: Iterable[Script],
    modes: Iterable[Mode],
    clients: Iterable[int],
    seconds: float,
    rounds: int,
) -> Plan:
    """Combine them; the cases that differ in the number of clients alone stand together."""
    cases = tuple(Case(*each) for each in product(scripts, modes, clients))
    return Plan(cases, seconds, rounds)


def read_list(text: str, convert: Callable[[str], T], what: str) -> tuple[T, ...]:
    """Read `a,b,c`. Raises: PlanError naming the item that is no `what`."""
    found: list[T] = []
    for item in text.split(","):
        try:
            found.append(convert(item.strip()))
        except ValueError as exc:
            raise PlanError(f'"{item}" is no {what}') from exc
    return tuple(found)


def positive(text: str) -> int:
    """Read a whole number from 1 on. Raises: ValueError."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number
