"""SET of greenpool's own settings: `SET log_level = debug`.

The value is looked at here and put in force by the master, in all workers; it is over when this one
has it. It lasts until the next RELOAD, restart or upgrade: then the file counts again.
"""

from __future__ import annotations

from collections.abc import Callable

from greenpool.admin.lexer import Statement, TokenKind, syntax_error
from greenpool.admin.result import Pending, Plan
from greenpool.config import SETTABLE, Config, parse_setting, setting_of
from greenpool.errors import ConfigError
from greenpool.protocol.errors import ClientError, Severity, SqlState

PATIENCE_NS = 10_000_000_000
"""How long a worker may take; it takes milliseconds."""

_ASSIGNS = frozenset(("=", "to"))
_VALUES = frozenset((TokenKind.WORD, TokenKind.STRING, TokenKind.NUMBER))


def is_ours(statement: Statement) -> bool:
    """Say whether a SET is of greenpool, and not of the session, which drivers set things of."""
    return len(statement) > 1 and statement[1].text.lower() in SETTABLE


def plan(
    statement: Statement,
    config: Callable[[], Config],
    put: Callable[[str, str], None],
    now_ns: Callable[[], int],
) -> Plan:
    """Understand `SET name {= | TO} value`; `put` tells the master. Raises: ClientError."""
    name = statement[1].text.lower()
    if len(statement) < 4 or statement[2].text not in _ASSIGNS or statement[3].kind not in _VALUES:
        raise syntax_error(f"SET {name} takes = or TO, then a value")
    if any(token.kind not in _VALUES for token in statement[4:]):
        raise syntax_error(f"SET {name} takes one value", "Quote what is more than a word: '10s'.")
    text = "".join(token.text for token in statement[3:])  # 10s is a number and a word
    try:
        value = parse_setting(name, text)
    except ConfigError as exc:
        message = str(exc)
        raise ClientError(Severity.ERROR, SqlState.INVALID_PARAMETER_VALUE, message) from None

    def command() -> Pending:
        put(name, text)
        end_ns = now_ns() + PATIENCE_NS

        def is_done() -> bool:
            if setting_of(config(), name) == value:
                return True
            if now_ns() < end_ns:
                return False
            message = f"{name} is not in force: the master's log says why"
            raise ClientError(Severity.ERROR, SqlState.SYSTEM_ERROR, message)

        return is_done

    return Plan("SET", command=command)
