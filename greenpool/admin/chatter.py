"""What drivers and tools say by themselves: SET, BEGIN, SELECT 1, SHOW server_version, RESET ALL.

Law: answered only where the answer is true of the console: its rows depend on no session setting,
its commands need no transaction. Everything else is refused by name (0A000), never ignored.
Partners: `selection.py`, what SELECT may ask for; `speaker.py`, which keeps what was SET.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from greenpool.admin.catalog import not_supported
from greenpool.admin.lexer import Statement, Token, TokenKind, shown, syntax_error
from greenpool.admin.result import Effect, Pending, Plan, at_once
from greenpool.admin.speaker import SETTABLE, SETTINGS, Speaker
from greenpool.protocol.backend import Column

_ENCODINGS = frozenset(("utf8", "utf-8", "unicode", "default"))

# Whole statements with nothing to do but what the effect says. Tags are PostgreSQL's.
_FIXED: Mapping[tuple[str, ...], Plan] = {
    ("close", "all"): Plan("CLOSE CURSOR ALL"),
    ("unlisten", "*"): Plan("UNLISTEN"),
}
_TRANSACTIONS: Mapping[str, Plan] = {
    "begin": Plan("BEGIN", effect=Effect.BEGIN),
    "start": Plan("START TRANSACTION", effect=Effect.BEGIN),
    "commit": Plan("COMMIT", effect=Effect.END),
    "end": Plan("COMMIT", effect=Effect.END),
    "rollback": Plan("ROLLBACK", effect=Effect.END),
    "abort": Plan("ROLLBACK", effect=Effect.END),
}
_ISOLATION = ("transaction", "isolation", "level")
_TRANSACTION_MODES = frozenset(
    (
        *("transaction", "work", "isolation", "level", "read", "write", "only", ","),
        *("serializable", "repeatable", "committed", "uncommitted", "not", "deferrable"),
    )
)


def show_parameter(names: tuple[str, ...], speaker: Speaker) -> Plan | None:
    """Plan SHOW of a session setting, or of all of them; None: there is no such setting here."""
    name = "transaction_isolation" if names == _ISOLATION else " ".join(names)
    if name == "all":
        columns = (Column("name"), Column("setting"), Column("description"))
        return Plan("SHOW", columns, lambda: ((*each, "") for each in speaker.settings()))
    if name == "time zone":
        name = "timezone"
    if name not in SETTINGS:
        return None
    return Plan("SHOW", (Column(SETTINGS[name]),), lambda: ((speaker.setting(name),),))


def _transaction(statement: Statement, speaker: Speaker) -> Plan:
    """Plan BEGIN, COMMIT, ROLLBACK in their simple forms (no savepoints, no two phases)."""
    verb, *modes = _texts(statement)
    is_incomplete = verb == "start" and modes[:1] != ["transaction"]
    if is_incomplete or not _TRANSACTION_MODES.issuperset(modes):
        raise not_supported(f"this form of {verb.upper()}")
    return _TRANSACTIONS[verb]


def _fixed(statement: Statement, speaker: Speaker) -> Plan:
    """Plan a statement that is known as a whole."""
    texts = _texts(statement)
    if texts not in _FIXED:
        raise not_supported(f"this form of {texts[0].upper()}")
    return _FIXED[texts]


def _deallocate(statement: Statement, speaker: Speaker) -> Plan:
    """Plan `DEALLOCATE [PREPARE] {name | ALL}`."""
    target = statement[1:]
    if len(target) == 2 and target[0] == _PREPARE:
        target = target[1:]
    if len(target) != 1 or target[0].kind not in (TokenKind.WORD, TokenKind.NAME):
        raise syntax_error("DEALLOCATE takes the name of one prepared statement, or ALL")
    if target[0] == _ALL:
        return Plan("DEALLOCATE ALL", effect=Effect.DEALLOCATE)
    return Plan("DEALLOCATE", effect=Effect.DEALLOCATE, name=target[0].text)


def _set(statement: Statement, speaker: Speaker) -> Plan:
    """Plan SET of a session setting. The pooler's own are changed in its configuration file."""
    tokens = statement[1:]
    if _texts(tokens[:3]) == ("session", "characteristics", "as"):
        tokens = tokens[3:]
    if _texts(tokens[:1]) == ("transaction",) and _TRANSACTION_MODES.issuperset(_texts(tokens)):
        return _SET
    is_local = _texts(tokens[:1]) == ("local",)
    if is_local or _texts(tokens[:1]) == ("session",):
        tokens = tokens[1:]
    name, values = _assignment(tokens)
    value = ", ".join(token.text for token in values if token.text != ",")
    if name == "client_encoding":
        if value.lower() not in _ENCODINGS:
            raise not_supported(f'client encoding "{shown(value)}"', "The console speaks UTF8.")
        return _SET  # it is that already
    _check_settable(name)
    if is_local:
        return _SET  # over with the transaction, in which nothing looks at it
    if values == (_DEFAULT,):
        return Plan("SET", command=_at_once(lambda: speaker.reset(name)))
    return Plan("SET", command=_at_once(lambda: speaker.set(name, value)))


def _assignment(tokens: Statement) -> tuple[str, Statement]:
    """Read `name {= | TO} value, ...`, `TIME ZONE value` or `NAMES value`."""
    texts = _texts(tokens)
    if len(texts) >= 3 and texts[:2] == ("time", "zone"):
        return "timezone", tokens[2:]
    if len(texts) == 2 and texts[0] == "names":
        return "client_encoding", tokens[1:]
    if len(texts) >= 3 and texts[1] in ("=", "to"):
        return texts[0].lower(), tokens[2:]
    raise syntax_error("SET takes a name, then = or TO, then a value")


def _reset(statement: Statement, speaker: Speaker) -> Plan:
    """Plan RESET of one session setting, or of all."""
    if len(statement) != 2:
        raise syntax_error("RESET takes the name of one setting, or ALL")
    name = statement[1].text.lower()
    if statement[1] == _ALL:
        return Plan("RESET", command=_at_once(speaker.reset))
    _check_settable(name)
    return Plan("RESET", command=_at_once(lambda: speaker.reset(name)))


def _discard(statement: Statement, speaker: Speaker) -> Plan:
    if _texts(statement[1:]) != ("all",):
        raise not_supported("this form of DISCARD")
    return Plan("DISCARD ALL", effect=Effect.DEALLOCATE, command=_at_once(speaker.reset))


def _check_settable(name: str) -> None:
    if name not in SETTABLE:
        hint = "Change the configuration file, then say RELOAD."
        raise not_supported(f'SET of "{shown(name)}"', hint)


def _at_once(act: Callable[[], None]) -> Callable[[], Pending]:
    """Make the command of a plan that is over when it has been given."""

    def command() -> Pending:
        act()
        return at_once

    return command


def _texts(tokens: Statement) -> tuple[str, ...]:
    return tuple(token.text for token in tokens)


_SET = Plan("SET")
_ALL = Token(TokenKind.WORD, "all")
_DEFAULT = Token(TokenKind.WORD, "default")
_PREPARE = Token(TokenKind.WORD, "prepare")

STATEMENTS: Mapping[str, Callable[[Statement, Speaker], Plan]] = {
    "set": _set,
    "reset": _reset,
    "discard": _discard,
    "deallocate": _deallocate,
    **dict.fromkeys(_TRANSACTIONS, _transaction),
    **dict.fromkeys((texts[0] for texts in _FIXED), _fixed),
}
"""The first words of what drivers say, and who plans the statement."""
