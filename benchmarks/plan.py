"""What is measured: cases, how long, how often. Pure data and the reading of options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from benchmarks.errors import PlanError

POOL_SIZE = 20
"""Servers that each pooler may have: `default_pool_size` of PgBouncer, `pool_size` of greenpool."""

DIRECT_CLIENTS_MAX = 500
"""Clients that PostgreSQL serves without a pooler; with more, that column stays empty."""

PGBENCH_CLIENTS_MAX = 500
"""pgbench asks the kernel about every client at every wait; with more, `load` drives instead."""

PIPELINE_DEPTH = 10
"""Queries of a pipeline, as in _cparser/bench/exchange.h."""

T = TypeVar("T")


class Mode(Enum):
    """The protocol, as pgbench -M names it, and pipelines of extended queries."""

    SIMPLE = "simple"
    EXTENDED = "extended"
    PREPARED = "prepared"
    PIPELINED = "pipelined"


class Scenario(Enum):
    """What is done; the value is the name in options, tables and files."""

    SELECT_X = "select-x"  # no table: as little of PostgreSQL as there can be
    SELECT_X_TLS = "select-x-tls"  # the same with TLS between client and pooler
    SELECT_ONLY = "select-only"  # pgbench -S: one row by primary key
    OPEN = "open-loop"  # select-x at a fixed rate, whatever the pooler does
    RECONNECT = "reconnect"  # pgbench -C: a login by SCRAM for every select-x
    RECONNECT_TLS = "reconnect-tls"  # ... and a handshake
    RESULT = "result-1mb"  # one row of a megabyte
    COPY_OUT = "copy-out"
    COPY_IN = "copy-in"

    @property
    def is_copy(self) -> bool:
        return self in (Scenario.COPY_OUT, Scenario.COPY_IN)

    @property
    def is_encrypted(self) -> bool:
        return self in (Scenario.SELECT_X_TLS, Scenario.RECONNECT_TLS)

    @property
    def is_reconnect(self) -> bool:
        return self in (Scenario.RECONNECT, Scenario.RECONNECT_TLS)

    @property
    def unit(self) -> str:
        """What is counted: transactions, or megabytes."""
        return "MB" if self.is_copy else "tx"


@dataclass(frozen=True, slots=True)
class Case:
    """Hold one thing to measure on every contender.

    `size`: transactions a second in an open loop, megabytes to copy; otherwise 0.
    """

    scenario: Scenario
    mode: Mode
    clients: int
    size: int = 0

    @property
    def title(self) -> str:
        noun = "client" if self.clients == 1 else "clients"
        what = f"{self.scenario.value}, {self.mode.value}, {self.clients} {noun}"
        if self.scenario is Scenario.OPEN:
            return f"{what}, {self.size:,} tps due"
        return f"{what}, {self.size:,} MB" if self.scenario.is_copy else what


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
class Wish:
    """Hold what options ask for; `plan` turns it into cases."""

    scenarios: tuple[Scenario, ...]
    modes: tuple[Mode, ...]
    clients: tuple[int, ...]
    few_clients: tuple[int, ...]
    """Of the scenarios in which the number of clients is not the point."""
    rate: int
    """Transactions a second that are due in an open loop."""
    megabytes: int
    """Copied by one client."""
    seconds: float
    rounds: int

    def plan(self) -> Plan:
        """Make all cases; those that differ in the number of clients alone stand together."""
        cases = tuple(case for scenario in self.scenarios for case in self._cases(scenario))
        return Plan(cases, self.seconds, self.rounds)

    def _cases(self, scenario: Scenario) -> Iterator[Case]:
        simple = Mode.SIMPLE
        if scenario.is_copy:
            yield Case(scenario, simple, 1, self.megabytes)
        elif scenario in (Scenario.SELECT_X, Scenario.SELECT_X_TLS, Scenario.SELECT_ONLY):
            modes = [each for each in self.modes if _has_mode(scenario, each)]
            counts = [each for each in self.clients if _has_clients(scenario, each)]
            yield from (Case(scenario, mode, count) for mode in modes for count in counts)
        elif scenario is Scenario.OPEN:
            yield from (Case(scenario, simple, count, self.rate) for count in self.few_clients)
        else:
            yield from (Case(scenario, simple, count) for count in self.few_clients)


def _has_mode(scenario: Scenario, mode: Mode) -> bool:
    """pgbench's built-in script knows no pipelines."""
    return scenario is not Scenario.SELECT_ONLY or mode is not Mode.PIPELINED


def _has_clients(scenario: Scenario, clients: int) -> bool:
    """`load` speaks no TLS."""
    return scenario is not Scenario.SELECT_X_TLS or clients <= PGBENCH_CLIENTS_MAX


FULL = Wish(
    scenarios=tuple(each for each in Scenario if each is not Scenario.SELECT_ONLY),
    modes=tuple(Mode),
    clients=(1, 4, 20, 40, 120, 500, 2000, 10000),
    few_clients=(40, 500),
    rate=5000,
    megabytes=1024,
    seconds=3.0,
    rounds=3,
)

QUICK = Wish(
    scenarios=(Scenario.SELECT_X, Scenario.RECONNECT, Scenario.COPY_OUT),
    modes=(Mode.SIMPLE, Mode.EXTENDED),
    clients=(1, 20, 100),
    few_clients=(40,),
    rate=2000,
    megabytes=64,
    seconds=1.0,
    rounds=2,
)
"""64 runs of two seconds and a little, with the quick ones below: within three minutes."""

NULL = replace(FULL, scenarios=(Scenario.SELECT_X,))
NULL_QUICK = replace(
    QUICK, scenarios=(Scenario.SELECT_X,), modes=(Mode.SIMPLE,), clients=(100,), rounds=1
)
"""In front of a null server, which is asked one thing only."""


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


def names(options: Iterable[Enum]) -> str:
    """List the words that an option takes."""
    return ", ".join(str(each.value) for each in options)
