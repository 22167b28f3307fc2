"""The console: what a statement means, and what it answers.

Law: pure apart from RELOAD, UPGRADE, SHUTDOWN and SET, which are handed on (the worker tells the
master), and from `commands.py`. Everything a client can get wrong is a ClientError of severity
ERROR; nothing else is raised, whatever the text.
Partners: `show.py` (what there is to see), `chatter.py` (what drivers say), `conversation.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice

from greenpool.admin import catalog, chatter, commands, selection, settings
from greenpool.admin.extended import RecentTimes
from greenpool.admin.lexer import Statement, TokenKind, shown, statements, syntax_error
from greenpool.admin.question import Poll, Topic
from greenpool.admin.result import AdminResult, Pending, Plan, Row
from greenpool.admin.show import COUNTED, INQUIRIES, SHOWS, Inquiry
from greenpool.admin.speaker import SETTINGS, Rights, Speaker
from greenpool.admin.stats import StatsWindow
from greenpool.admin.view import Moment, View
from greenpool.config import SETTABLE, Config
from greenpool.errors import GreenpoolError
from greenpool.observe import events
from greenpool.observe.times import Ladder
from greenpool.protocol.errors import ClientError, Severity, SqlState
from greenpool.tallies import Tallies

log = logging.getLogger(__name__)

RELOAD = "reload"
UPGRADE = "upgrade"
SHUTDOWN = "shutdown"

_ORDERS = (RELOAD, UPGRADE, SHUTDOWN)
_HELP_HINT = "SHOW HELP lists the commands."
_EMPTY = Plan("")
_NAMES = catalog.Names((*SHOWS, *INQUIRIES), tuple(SETTABLE))


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the console looks. `ladder` knows the bounds of the segment's histograms."""

    segment: commands.Controls
    tallies: Tallies
    ladder: Ladder


@dataclass(frozen=True, slots=True)
class Orders:
    """Who takes what the console cannot do by itself; none may wait.

    `command` receives RELOAD, UPGRADE or SHUTDOWN, `put` a setting and its value, `ask` what all
    workers are to tell.
    """

    command: Callable[[str], None]
    put: Callable[[str, str], None]
    ask: Callable[[Topic], Poll]


class Console:
    """One worker's console, shared by all of its admin sessions.

    `config_getter` returns the configuration in force. Call `sample()` at start and every
    `stats.STATS_PERIOD_S` seconds.
    """

    __slots__ = ("_clock", "_config_getter", "_orders", "_sources", "_times", "_window")

    def __init__(
        self,
        sources: Sources,
        config_getter: Callable[[], Config],
        orders: Orders,
        clock: Callable[[], Moment] = Moment.now,
    ) -> None:
        self._sources = sources
        self._config_getter = config_getter
        self._orders = orders
        self._clock = clock
        self._window = StatsWindow()
        self._times = RecentTimes(sources.segment, sources.ladder)

    def sample(self) -> None:
        """Keep what was counted by now: averages and percentiles go back to an earlier sample."""
        rows = self._sources.segment.pool_rows()
        self._window.sample(rows, self._clock().monotonic_ns)
        self._times.sample(rows)

    def execute(self, sql: str, speaker: Speaker) -> AdminResult:
        """Run one statement. Raises: ClientError (ERROR)."""
        return self.plan(sql, speaker).run()

    def plan(self, sql: str, speaker: Speaker) -> Plan:
        """Understand one statement, or none, without doing anything. Raises: ClientError."""
        plans = self.plans(sql, speaker)
        if len(plans) > 1:
            raise syntax_error("cannot insert multiple commands into a prepared statement")
        return plans[0] if plans else _EMPTY

    def plans(self, sql: str, speaker: Speaker) -> list[Plan]:
        """Understand all statements of a query string; one that is wrong spoils them all."""
        return [self._permitted(statement, speaker) for statement in statements(sql)]

    def _permitted(self, statement: Statement, speaker: Speaker) -> Plan:
        """Understand one statement of somebody who may say it. Raises: ClientError."""
        if speaker.rights is Rights.STATS and _is_the_admins(statement):
            message = "admin access needed"
            raise ClientError(Severity.ERROR, SqlState.INSUFFICIENT_PRIVILEGE, message)
        return self._plan(statement, speaker)

    def _plan(self, statement: Statement, speaker: Speaker) -> Plan:
        first = statement[0]
        if first.kind is not TokenKind.WORD:
            raise syntax_error(f'syntax error at or near "{shown(first.text)}"', _HELP_HINT)
        if first.text == "show":
            return self._show(statement, speaker)
        if first.text in _ORDERS:
            return self._order(statement)
        if first.text in commands.COMMANDS:
            return self._said(commands.plan(self._sources.segment, statement), statement)
        if first.text == "set" and settings.is_ours(statement):
            return self._said(
                settings.plan(statement, self._config_getter, self._set, self._now_ns), statement
            )
        if first.text == "select":
            return selection.plan(statement, speaker, _NAMES)
        if planner := chatter.STATEMENTS.get(first.text):
            return planner(statement, speaker)
        known = ("show", "select", *_ORDERS, *commands.COMMANDS, *chatter.STATEMENTS)
        raise _unknown("", first.text, known)

    def _show(self, statement: Statement, speaker: Speaker) -> Plan:
        names = tuple(token.text.lower() for token in statement[1:])
        if not names:
            raise syntax_error("SHOW needs the name of what to show", _HELP_HINT)
        if plan := chatter.show_parameter(names, speaker):
            return plan
        name = names[0]
        if name not in SHOWS and name not in INQUIRIES:
            raise _unknown("SHOW ", name, (*SHOWS, *INQUIRIES, *SETTINGS))
        if name in COUNTED and len(names) == 2 and names[1].isdecimal():
            return self._inquire(COUNTED[name], int(names[1][:9]))
        if len(names) > 1:
            raise syntax_error(f'syntax error at or near "{shown(names[1])}"', _HELP_HINT)
        if name in INQUIRIES:
            return self._inquire(INQUIRIES[name])
        show = SHOWS[name]
        return Plan("SHOW", show.columns, lambda: show.rows(self._view()))

    def _inquire(self, inquiry: Inquiry, count: int | None = None) -> Plan:
        """Plan to ask all workers when it is run. Rows are made when they have answered.

        `count`: give the first of them only.
        """
        polls: list[Poll] = []  # the last one that was begun

        def command() -> Pending:
            polls[:] = [self._orders.ask(inquiry.topic)]
            return polls[0].is_done

        def rows() -> Iterator[Row]:
            yield from islice(inquiry.rows(self._view(), polls[0].told), count)

        return Plan("SHOW", inquiry.columns, rows, command=command)

    def _said(self, plan: Plan, statement: Statement) -> Plan:
        """Have a command logged when it is given."""

        def command() -> Pending:
            is_done = plan.command()
            words = " ".join(shown(token.text) for token in statement)
            events.COMMAND_GIVEN.tell(log, statement=words)
            return is_done

        return replace(plan, command=command)

    def _order(self, statement: Statement) -> Plan:
        verb = statement[0].text
        if len(statement) > 1:
            raise catalog.not_supported(f"{verb.upper()} with an argument")
        return Plan(verb.upper(), rows=lambda: self._carry_out(verb))

    def _carry_out(self, verb: str) -> Iterable[Row]:
        with _passing_on(verb):
            self._orders.command(verb)
        return ()

    def _set(self, name: str, text: str) -> None:
        with _passing_on("set"):
            self._orders.put(name, text)

    def _now_ns(self) -> int:
        return self._clock().monotonic_ns

    def _view(self) -> View:
        return View(
            segment=self._sources.segment,
            tallies=self._sources.tallies,
            config=self._config_getter(),
            window=self._window,
            times=self._times,
            now=self._clock(),
        )


def _is_the_admins(statement: Statement) -> bool:
    """Whether nobody but the admin may say this."""
    first, *rest = (token.text.lower() for token in statement)
    if first == "show":
        asked = (COUNTED if len(rest) > 1 else INQUIRIES).get(rest[0]) if rest else None
        return asked is not None and asked.is_admins
    is_command = first in _ORDERS or first in commands.COMMANDS
    return is_command or (first == "set" and settings.is_ours(statement))


@contextmanager
def _passing_on(verb: str) -> Iterator[None]:
    try:
        yield
    except (GreenpoolError, OSError) as exc:
        message = f"cannot pass {verb.upper()} on to the master: {exc}"
        raise ClientError(Severity.ERROR, SqlState.SYSTEM_ERROR, message) from exc


def _unknown(prefix: str, word: str, known: Iterable[str]) -> ClientError:
    near = get_close_matches(word[:64], list(known), n=1)
    hint = f"Did you mean {prefix}{near[0].upper()}? {_HELP_HINT}" if near else _HELP_HINT
    return syntax_error(f'unrecognized command "{prefix}{shown(word).upper()}"', hint)
