"""What a SELECT of the console may ask for: functions, and relations of a few rows.

Law: only what is true here. There are no tables, and the database is the console itself. Names are
PostgreSQL's, without the schema pg_catalog.
Partner: `selection.py`, which reads the statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from greenpool.admin.lexer import shown
from greenpool.admin.result import Row, Value
from greenpool.admin.speaker import SETTABLE, SETTINGS, Speaker
from greenpool.admin.welcome import VERSION
from greenpool.protocol.backend import BOOL, INT4, NAME, OID, TEXT, ColumnType
from greenpool.protocol.errors import ClientError, Severity, SqlState

_DATABASE_OID = 1
_UTF8 = 6  # PostgreSQL's number of the encoding


def not_supported(what: str, hint: str = "SHOW HELP lists the commands.") -> ClientError:
    """Make the ERROR for what is lawful SQL, or a command elsewhere, and cannot be done here."""
    message = f"{what} is not supported by the admin console"
    return ClientError(Severity.ERROR, SqlState.FEATURE_NOT_SUPPORTED, message, hint)


@dataclass(frozen=True, slots=True)
class Names:
    """What can be completed behind SHOW, and behind SET, besides the settings of a session."""

    shown: tuple[str, ...]
    settable: tuple[str, ...]


# ---- functions ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Function:
    """A function: NULL among its arguments makes NULL, and nothing is done."""

    type: ColumnType
    arguments: range  # how many
    call: Callable[..., Value]  # of the speaker and the arguments


def _current_setting(speaker: Speaker, name: Value, missing_ok: Value = False) -> Value:
    text = str(name).lower()
    if text in SETTINGS:
        return speaker.setting(text)
    if missing_ok:
        return None
    raise _unrecognized(str(name))


def _set_config(speaker: Speaker, name: Value, value: Value, is_local: Value) -> Value:
    text = str(name).lower()
    if text not in SETTINGS:
        raise _unrecognized(str(name))
    if text not in SETTABLE:
        raise not_supported(f'SET of "{shown(text)}"')
    if not is_local:
        speaker.set(text, str(value))
    return str(value)


def _unrecognized(name: str) -> ClientError:
    message = f'unrecognized configuration parameter "{shown(name)}"'
    return ClientError(Severity.ERROR, SqlState.UNDEFINED_OBJECT, message)


_NO, _ONE, _TWO, _THREE = (range(count, count + 1) for count in range(4))
FUNCTIONS: Mapping[str, Function] = {
    "current_database": Function(NAME, _NO, lambda speaker: speaker.database),
    "current_schema": Function(NAME, _NO, lambda speaker: None),
    "current_setting": Function(TEXT, range(1, 3), _current_setting),
    "has_database_privilege": Function(BOOL, _TWO, lambda speaker, *_: False),  # to make anything
    "lower": Function(TEXT, _ONE, lambda speaker, text: str(text).lower()),
    "pg_advisory_unlock_all": Function(TEXT, _NO, lambda speaker: ""),
    "pg_backend_pid": Function(INT4, _NO, lambda speaker: speaker.pid),
    "pg_encoding_to_char": Function(NAME, _ONE, lambda speaker, _: "UTF8"),
    "pg_is_in_recovery": Function(BOOL, _NO, lambda speaker: False),
    "set_config": Function(TEXT, _THREE, _set_config),
    "version": Function(TEXT, _NO, lambda speaker: VERSION),
}
# Written without parentheses.
WORDS: Mapping[str, Function] = {
    "current_catalog": FUNCTIONS["current_database"],
    "current_schema": FUNCTIONS["current_schema"],
    **dict.fromkeys(
        ("current_role", "current_user", "session_user", "user"),
        Function(NAME, _NO, lambda speaker: speaker.user),
    ),
}
LITERALS: Mapping[str, tuple[ColumnType, Value]] = {
    "true": (BOOL, True),
    "false": (BOOL, False),
    "null": (TEXT, None),
}


# ---- relations ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Relation:
    """What can stand behind FROM."""

    columns: Mapping[str, ColumnType]
    rows: Callable[[Speaker, Names], Iterable[Row]]


def _database_rows(speaker: Speaker, names: Names) -> Iterator[Row]:
    yield _DATABASE_OID, speaker.database, _UTF8, False, True


def _settings_rows(speaker: Speaker, names: Names) -> Iterator[Row]:
    """Give what SHOW and SET know: the session's settings, and greenpool's names without values."""
    session = dict(speaker.settings())
    for name, value in session.items():
        yield name, value, "user" if name.lower() in SETTABLE else "internal", "string"
    for name in sorted({*names.shown, *names.settable} - session.keys()):
        yield name, None, "user" if name in names.settable else "internal", "string"


NOTHING = Relation({}, lambda speaker, names: ((),))
_SETTINGS = Relation(
    {"name": TEXT, "setting": TEXT, "context": TEXT, "vartype": TEXT}, _settings_rows
)
RELATIONS: Mapping[tuple[str, bool], Relation] = {  # by name, and whether it is a function
    ("pg_database", False): Relation(
        {
            "oid": OID,
            "datname": NAME,
            "encoding": INT4,
            "datistemplate": BOOL,
            "datallowconn": BOOL,
        },
        _database_rows,
    ),
    ("pg_settings", False): _SETTINGS,
    ("pg_show_all_settings", True): _SETTINGS,
}
