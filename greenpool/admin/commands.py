"""What the administrator can do to pools and clients: PAUSE, RESUME, DISABLE, KILL, SUSPEND...

    PAUSE [database] [user = name]

SUSPEND means everything, always.

Law: a command changes the segment, once, and is then over or not yet: `Pending` tells when. Who
waits may go away at any time; what was said stays said (a PAUSE stays in force), as in PgBouncer.
How the workers hear of it: `_cparser/controls.c`. Words of errors are PgBouncer's where it has any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from greenpool.admin.lexer import Statement, TokenKind, shown, syntax_error
from greenpool.admin.result import Pending, Plan, at_once
from greenpool.admin.view import Snapshots
from greenpool.admin.welcome import ADMIN_DATABASES
from greenpool.protocol.errors import ClientError, Severity, SqlState
from greenpool.records import ClientState, Hold
from greenpool.rows import ClientRow, PoolRow

_NAMES = frozenset((TokenKind.WORD, TokenKind.NAME, TokenKind.STRING))
_LEFT = frozenset((ClientState.CLOSING, ClientState.GONE))


class Controls(Snapshots, Protocol):
    """The half of `engine.Segment` that commands need."""

    def hold(self, pool: int, bits: Hold) -> None: ...

    def unhold(self, pool: int, bits: Hold) -> None: ...

    def held(self, pool: int) -> Hold: ...

    def reconnect(self, pool: int) -> None: ...

    def kill_pool(self, pool: int) -> None: ...

    def doom(self, client: ClientRow) -> None: ...

    def suspend(self, wanted: bool) -> None: ...

    def is_suspended(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Target:
    """Which pools are meant; None: any."""

    database: str | None
    user: str | None

    def pools(self, segment: Controls, verb: str) -> list[PoolRow]:
        """Find them. Raises: ClientError if there are none."""
        if self.database in ADMIN_DATABASES:
            raise _refused(f"cannot {verb} admin db: {self.database}")
        found = [
            row
            for row in segment.pool_rows()
            if self.database in (None, row.database) and self.user in (None, row.user)
        ]
        if not found and self.database is not None:
            message = f"no such database: {shown(self.database)}"
            raise ClientError(Severity.ERROR, SqlState.INVALID_CATALOG_NAME, message)
        if not found and self.user is not None:
            message = f"no such user: {shown(self.user)}"
            raise ClientError(Severity.ERROR, SqlState.UNDEFINED_OBJECT, message)
        return found


Act = Callable[[Controls, Target], Pending]


def plan(segment: Controls, statement: Statement) -> Plan:
    """Understand one of COMMANDS. Raises: ClientError for what makes no sense."""
    verb = statement[0].text
    if verb == "kill_client":
        client = _number(statement)
        return Plan(verb.upper(), command=lambda: _kill_client(segment, client))
    if verb == "suspend":
        if len(statement) > 1:
            raise syntax_error(f'syntax error at or near "{shown(statement[1].text)}"')
        return Plan(verb.upper(), command=lambda: _suspend(segment))
    target = _target(statement)
    if verb in _NEEDS_DATABASE and target.database is None:
        raise syntax_error("a database is required")
    act = _ACTS[verb]
    return Plan(verb.upper(), command=lambda: act(segment, target))


# ---- what they do -----------------------------------------------------------------------------


def _pause(segment: Controls, target: Target) -> Pending:
    """Let transactions end, close their servers, open none: clients wait until RESUME."""
    rows = target.pools(segment, "pause")
    is_all = target == Target(None, None)
    if is_all and (segment.is_suspended() or all(row.held & Hold.PAUSED for row in rows)):
        raise _refused("already suspended/paused")
    pools = _say(segment, target, "pause", lambda pool: segment.hold(pool, Hold.PAUSED))

    def is_done() -> bool:
        if not all(segment.held(pool) & Hold.PAUSED for pool in pools):
            raise _refused("RESUME has ended the pause")
        return _are_empty(segment, pools)

    return is_done


def _resume(segment: Controls, target: Target) -> Pending:
    """Take back PAUSE and KILL; without a name SUSPEND, too."""
    is_paused = any(row.held & Hold.PAUSED for row in target.pools(segment, "resume"))
    was_suspended = target == Target(None, None) and segment.is_suspended()
    if was_suspended:
        segment.suspend(False)
    elif not is_paused and target.database is None:
        raise _refused("pooler is not paused/suspended")
    elif not is_paused:
        raise _refused(f"database {target.database} is not paused")

    def go_on(pool: int) -> None:
        if segment.held(pool) & Hold.PAUSED:
            segment.unhold(pool, Hold.PAUSED)

    _say(segment, target, "resume", go_on)
    return at_once


def _suspend(segment: Controls) -> Pending:
    """Read from nobody any more, once all that is unsent has been sent."""
    rows = segment.pool_rows()
    if segment.is_suspended() or (rows and all(row.held & Hold.PAUSED for row in rows)):
        raise _refused("already suspended/paused")
    segment.suspend(True)

    def is_done() -> bool:
        if not segment.is_suspended():
            raise _refused("RESUME has ended the suspension")
        return all(worker.still for worker in segment.worker_rows() if worker.alive)

    return is_done


def _disable(segment: Controls, target: Target) -> Pending:
    """Let no other client in; those that are in stay."""
    _say(segment, target, "disable", lambda pool: segment.hold(pool, Hold.DISABLED))
    return at_once


def _enable(segment: Controls, target: Target) -> Pending:
    _say(segment, target, "enable", lambda pool: segment.unhold(pool, Hold.DISABLED))
    return at_once


def _reconnect(segment: Controls, target: Target) -> Pending:
    """Replace every server once it is at rest. Others may be opened at once."""
    for row in target.pools(segment, "reconnect"):
        segment.reconnect(row.index)
    return at_once


def _wait_close(segment: Controls, target: Target) -> Pending:
    """Wait until no server is left that was to be replaced."""
    pools = [row.index for row in target.pools(segment, "wait in")]

    def is_done() -> bool:
        return not any(slot.stale for pool in pools for slot in segment.slot_rows(pool))

    return is_done


def _kill(segment: Controls, target: Target) -> Pending:
    """Drop clients and servers at once, and pause: whoever comes now waits until RESUME."""
    pools = [row.index for row in target.pools(segment, "kill")]
    doomed = [each for each in segment.client_rows() if each.pool - 1 in pools]
    pools = _say(segment, target, "kill", segment.kill_pool)

    def is_done() -> bool:
        return all(_has_left(segment, each) for each in doomed) and _are_empty(segment, pools)

    return is_done


def _kill_client(segment: Controls, number: int) -> Pending:
    """Drop one client, and its server, in whatever worker they are."""
    client = segment.client_row(number)
    if client is None or not client.pool:
        raise ClientError(Severity.ERROR, SqlState.UNDEFINED_OBJECT, "client not found")
    segment.doom(client)
    return lambda: _has_left(segment, client)


def _say(segment: Controls, target: Target, verb: str, act: Callable[[int], None]) -> list[int]:
    """Do this to all pools that are meant, and to those that are defined meanwhile; return them.

    Whoever defines one looks for what has been said meanwhile, when others can see the pool
    (`_cparser/segment.c`): so none is missed by both.
    """
    said: list[int] = []
    while new := [row.index for row in target.pools(segment, verb) if row.index not in said]:
        for pool in new:
            act(pool)
        said += new
    return said


def _are_empty(segment: Controls, pools: list[int]) -> bool:
    """Whether no server is left, not even one that PostgreSQL has not hung up on yet."""
    return not any(segment.slot_rows(pool) for pool in pools)


def _has_left(segment: Controls, client: ClientRow) -> bool:
    now = segment.client_row(client.client)
    return now is None or now.state in _LEFT or now.connected_ns != client.connected_ns


def _refused(message: str) -> ClientError:
    return ClientError(Severity.ERROR, SqlState.OBJECT_NOT_IN_PREREQUISITE_STATE, message)


# ---- what they are given ----------------------------------------------------------------------


def _target(statement: Statement) -> Target:
    """Read `[database] [user = name]`."""
    rest = statement[1:]
    user = None
    if len(rest) >= 3 and (rest[-3].text, rest[-2].text) == ("user", "="):
        if rest[-1].kind not in _NAMES:
            raise syntax_error("a user is required")
        user, rest = rest[-1].text, rest[:-3]
    if not rest:
        return Target(None, user)
    if len(rest) > 1 or rest[0].kind not in _NAMES:
        wrong = rest[1] if len(rest) > 1 else rest[0]
        raise syntax_error(
            f'syntax error at or near "{shown(wrong.text)}"',
            "A name with other characters than letters, digits and _ stands in double quotes.",
        )
    return Target(rest[0].text, user)


def _number(statement: Statement) -> int:
    rest = statement[1:]
    if len(rest) != 1 or rest[0].kind is not TokenKind.NUMBER or not rest[0].text.isdigit():
        raise syntax_error("invalid client pointer supplied", "SHOW CLIENTS has the column id.")
    return min(int(rest[0].text[:20]), (1 << 32) - 1)


_ACTS: Mapping[str, Act] = {
    "pause": _pause,
    "resume": _resume,
    "disable": _disable,
    "enable": _enable,
    "reconnect": _reconnect,
    "wait_close": _wait_close,
    "kill": _kill,
}
_NEEDS_DATABASE = frozenset(("disable", "enable"))

COMMANDS: Mapping[str, tuple[str, str]] = {
    "pause": (
        "PAUSE [db] [user=name]",
        "wait for transactions to end, close all servers, and let clients wait",
    ),
    "resume": ("RESUME [db] [user=name]", "go on after PAUSE or KILL; without a name SUSPEND"),
    "suspend": ("SUSPEND", "send what is unsent, and read nothing more from clients and servers"),
    "disable": ("DISABLE db [user=name]", "let no other client in"),
    "enable": ("ENABLE db [user=name]", "let clients in again"),
    "reconnect": ("RECONNECT [db] [user=name]", "replace every server as it becomes idle"),
    "wait_close": (
        "WAIT_CLOSE [db] [user=name]",
        "wait until all servers to be replaced are closed",
    ),
    "kill": ("KILL [db] [user=name]", "drop clients and servers at once; then as after PAUSE"),
    "kill_client": ("KILL_CLIENT id", "drop one client and its server at once"),
}
"""The verbs, each with its form and a sentence for HELP."""
