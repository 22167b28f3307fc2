"""What drivers and tools say by themselves: SET, BEGIN, SELECT 1, SHOW server_version, RESET ALL.

Law: answered only where the answer is true of the console: its rows depend on no session setting,
its commands need no transaction. Everything else is refused by name (0A000), never ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from greenpool.admin.lexer import Statement, Token, TokenKind, shown, syntax_error
from greenpool.admin.result import Effect, Plan, Value
from greenpool.admin.welcome import VERSION, WELCOME_PARAMETERS
from greenpool.protocol.backend import INT4, Column
from greenpool.protocol.errors import ClientError, Severity, SqlState

PARAMETERS: Mapping[str, str] = {
    **{name.lower(): value for name, value in WELCOME_PARAMETERS.items()},
    "default_transaction_read_only": "off",
    "in_hot_standby": "off",
    "transaction_isolation": "read committed",
    "transaction_read_only": "off",
}
"""The session settings that SHOW knows; none can change."""

# Settings of a session that drivers set; no answer of the console depends on any of them.
_SETTABLE = frozenset(
    (
        "application_name",
        "bytea_output",
        "client_min_messages",
        "datestyle",
        "default_transaction_isolation",
        "default_transaction_read_only",
        "extra_float_digits",
        "idle_in_transaction_session_timeout",
        "intervalstyle",
        "lock_timeout",
        "search_path",
        "standard_conforming_strings",
        "statement_timeout",
        "timezone",
    )
)
_ENCODINGS = frozenset(("utf8", "utf-8", "unicode", "default"))
_ONE = Column("?column?", INT4)

# SELECT lists, as texts of tokens without the schema pg_catalog.
_SELECTS: Mapping[tuple[str, ...], tuple[Column, Value]] = {
    ("1",): (_ONE, 1),
    ("version", "(", ")"): (Column("version"), VERSION),
    ("current_schema", "(", ")"): (Column("current_schema"), None),
    ("pg_advisory_unlock_all", "(", ")"): (Column("pg_advisory_unlock_all"), ""),
}

# Whole statements with nothing to do but what the effect says. Tags are PostgreSQL's.
_FIXED: Mapping[tuple[str, ...], Plan] = {
    ("reset", "all"): Plan("RESET"),
    ("close", "all"): Plan("CLOSE CURSOR ALL"),
    ("unlisten", "*"): Plan("UNLISTEN"),
    ("discard", "all"): Plan("DISCARD ALL", effect=Effect.DEALLOCATE),
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


def not_supported(what: str, hint: str = "SHOW HELP lists the commands.") -> ClientError:
    """Make the ERROR for what is lawful SQL, or a command elsewhere, and cannot be done here."""
    message = f"{what} is not supported by the admin console"
    return ClientError(Severity.ERROR, SqlState.FEATURE_NOT_SUPPORTED, message, hint)


def show_parameter(names: tuple[str, ...]) -> Plan | None:
    """Plan SHOW of a session setting; None: there is no such setting here."""
    name = "transaction_isolation" if names == _ISOLATION else " ".join(names)
    if name not in PARAMETERS:
        return None
    return Plan("SHOW", (Column(name),), lambda: ((PARAMETERS[name],),))


def _select(statement: Statement) -> Plan:
    """Plan `SELECT 1`, `SELECT version()` and the like."""
    texts = _texts(statement[1:])
    if texts[:2] == ("pg_catalog", "."):
        texts = texts[2:]
    if texts not in _SELECTS:
        raise not_supported("this SELECT")
    column, value = _SELECTS[texts]
    return Plan("SELECT 1", (column,), lambda: ((value,),))


def _transaction(statement: Statement) -> Plan:
    """Plan BEGIN, COMMIT, ROLLBACK in their simple forms (no savepoints, no two phases)."""
    verb, *modes = _texts(statement)
    is_incomplete = verb == "start" and modes[:1] != ["transaction"]
    if is_incomplete or not _TRANSACTION_MODES.issuperset(modes):
        raise not_supported(f"this form of {verb.upper()}")
    return _TRANSACTIONS[verb]


def _fixed(statement: Statement) -> Plan:
    """Plan a statement that is known as a whole."""
    texts = _texts(statement)
    if texts not in _FIXED:
        raise not_supported(f"this form of {texts[0].upper()}")
    return _FIXED[texts]


def _deallocate(statement: Statement) -> Plan:
    """Plan `DEALLOCATE [PREPARE] {name | ALL}`."""
    target = statement[1:]
    if len(target) == 2 and target[0] == _PREPARE:
        target = target[1:]
    if len(target) != 1 or target[0].kind not in (TokenKind.WORD, TokenKind.NAME):
        raise syntax_error("DEALLOCATE takes the name of one prepared statement, or ALL")
    if target[0] == _ALL:
        return Plan("DEALLOCATE ALL", effect=Effect.DEALLOCATE)
    return Plan("DEALLOCATE", effect=Effect.DEALLOCATE, name=target[0].text)


def _set(statement: Statement) -> Plan:
    """Plan SET of a session setting. The pooler's own are changed in its configuration file."""
    texts = _texts(statement[1:])
    if texts[:3] == ("session", "characteristics", "as"):
        texts = texts[3:]
    if texts[:1] == ("transaction",) and _TRANSACTION_MODES.issuperset(texts):
        return _SET
    if texts[:1] in (("session",), ("local",)):
        texts = texts[1:]
    name, value = _assignment(texts)
    if name == "client_encoding" and value.lower() not in _ENCODINGS:
        raise not_supported(f'client encoding "{shown(value)}"', "The console speaks UTF8.")
    if name != "client_encoding" and name not in _SETTABLE:
        raise not_supported(
            f'SET of "{shown(name)}"', "Change the configuration file, then say RELOAD."
        )
    return _SET


def _assignment(texts: tuple[str, ...]) -> tuple[str, str]:
    """Read `name {= | TO} value`, `TIME ZONE value` or `NAMES value`; further values are left."""
    if len(texts) >= 3 and texts[:2] == ("time", "zone"):
        return "timezone", texts[2]
    if len(texts) == 2 and texts[0] == "names":
        return "client_encoding", texts[1]
    if len(texts) >= 3 and texts[1] in ("=", "to"):
        return texts[0].lower(), texts[2]
    raise syntax_error("SET takes a name, then = or TO, then a value")


def _texts(tokens: Statement) -> tuple[str, ...]:
    return tuple(token.text for token in tokens)


_SET = Plan("SET")
_ALL = Token(TokenKind.WORD, "all")
_PREPARE = Token(TokenKind.WORD, "prepare")

STATEMENTS: Mapping[str, Callable[[Statement], Plan]] = {
    "select": _select,
    "set": _set,
    "deallocate": _deallocate,
    **dict.fromkeys(_TRANSACTIONS, _transaction),
    **dict.fromkeys((texts[0] for texts in _FIXED), _fixed),
}
"""The first words of what drivers say, and who plans the statement."""
