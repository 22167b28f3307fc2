"""What a client's startup parameters mean for the servers it will use, and for its welcome.

    startup packet --> settings --(less what servers have anyway)--> SessionState
                                                                       hash, sql: for the engine
                                                                       statuses: for the client

A server keeps the state of the client that used it last, labelled with that state's hash; the
engine runs `sql` on a server whose label differs, before the client's first byte.

Law: values are what PostgreSQL made of them (`DateStyle=iso` is `ISO, MDY`), so that equal states
have equal hashes and clients are told the truth. Nothing of a client is ever spliced into SQL
but as a constant that no setting of the server can read differently. Pure: no socket, no gevent.
Source: "Message Flow > Start-up", "> Asynchronous Operations"; PostgreSQL
`process_startup_options`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from greenpool.protocol.backend import parameter_status
from greenpool.protocol.message import encode_text
from greenpool.worker.session_question import question_of_session

CACHED_STATES = 512
"""States remembered for one pool; applications rarely have more than a few."""

RESET = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL"

REPORTED: Mapping[str, int] = {
    "application_name": 0,
    "client_encoding": 0,
    "DateStyle": 0,
    "default_transaction_read_only": 140000,
    "in_hot_standby": 140000,
    "integer_datetimes": 0,
    "IntervalStyle": 0,
    "is_superuser": 0,
    "scram_iterations": 160000,
    "search_path": 180000,
    "server_encoding": 0,
    "server_version": 0,
    "session_authorization": 0,
    "standard_conforming_strings": 0,
    "TimeZone": 0,
}
"""What PostgreSQL reports at login, and since which server_version_num."""

_CANONICAL_NAMES = {name.lower(): name for name in REPORTED}


@dataclass(frozen=True, slots=True)
class SessionState:
    """What makes a server fit a client, and what the client is told. `hash` 0: the pool's own."""

    hash: int
    sql: bytes
    look: bytes
    """The question what a session that began so has become (`session_question.py`)."""
    statuses: bytes


class StateCache:
    """States by the settings that clients asked for; the oldest goes first."""

    __slots__ = ("_capacity", "_states")

    def __init__(self, capacity: int = CACHED_STATES) -> None:
        self._capacity = capacity
        self._states: dict[frozenset[tuple[str, str]], SessionState] = {}

    def get(self, settings: Mapping[str, str]) -> SessionState | None:
        """Return the state that these settings led to."""
        return self._states.get(frozenset(settings.items()))

    def put(self, settings: Mapping[str, str], state: SessionState) -> None:
        """Remember it."""
        if len(self._states) >= self._capacity:
            del self._states[next(iter(self._states))]
        self._states[frozenset(settings.items())] = state


def wanted_settings(
    settings: Mapping[str, str], defaults: Mapping[str, str], fixed: frozenset[str]
) -> dict[str, str]:
    """Return the settings that a fresh server does not have; names as PostgreSQL reports them.

    `fixed`: names (in lower case) that the configuration has taken out of the clients' hands.
    """
    named = {_CANONICAL_NAMES.get(name.lower(), name.lower()): settings[name] for name in settings}
    return {
        name: value
        for name, value in named.items()
        if name.lower() not in fixed and defaults.get(name) != value
    }


def is_self_evident(wanted: Mapping[str, str]) -> bool:
    """Whether PostgreSQL would report these values as they are: then it need not be asked."""
    return all(name == "application_name" and _is_plain_name(wanted[name]) for name in wanted)


def make_state(
    wanted: Mapping[str, str], defaults: Mapping[str, str], secret: bytes
) -> SessionState:
    """Make the state of canonical values; `secret` keys the hash, the same in all workers."""
    changed = {name: value for name, value in wanted.items() if defaults.get(name) != value}
    told = {name: changed.get(name, value) for name, value in defaults.items()}
    statuses = b"".join(parameter_status(name, value) for name, value in told.items())
    sql = RESET
    if changed:
        sql += f"; SELECT {_set_all(changed, is_local=False)}"
    look = encode_text(question_of_session(changed, RESET, _constant))
    return SessionState(_hash(changed, secret), encode_text(sql), look, statuses)


def question(wanted: Mapping[str, str]) -> str:
    """Return the query whose rows (name, value) tell how PostgreSQL understands these settings.

    Its settings last for its own implicit transaction only. PostgreSQL's error is the client's.
    """
    sql = ""
    if wanted:
        sql = f"SELECT name, pg_catalog.set_config(name, value, true) FROM {_values(wanted)};"
    names = ", ".join(_constant(name) for name in ("server_version_num", *REPORTED))
    return (
        f"{sql}SELECT name, pg_catalog.current_setting(name, true) "
        f"FROM pg_catalog.unnest(ARRAY[{names}]) AS reported(name)"
    )


def reported(rows: Mapping[str, str]) -> dict[str, str]:
    """Return of the answer to `question` what that PostgreSQL reports at login."""
    version = int(rows.get("server_version_num", "0"))
    return {
        name: rows[name] for name, since in REPORTED.items() if version >= since and name in rows
    }


def understood(wanted: Mapping[str, str], rows: Mapping[str, str]) -> dict[str, str]:
    """Return the wanted settings with PostgreSQL's own spelling of their values."""
    return {name: rows.get(name, value) for name, value in wanted.items()}


def _hash(changed: Mapping[str, str], secret: bytes) -> int:
    """Hash a state to 64 bits; 0 is kept for the state of a fresh server."""
    if not changed:
        return 0
    digest = hashlib.blake2b(key=secret, digest_size=8)
    for name in sorted(changed):
        for text in (name, changed[name]):
            data = encode_text(text)
            digest.update(len(data).to_bytes(4, "big") + data)
    return int.from_bytes(digest.digest(), "big") or 1


def _set_all(changed: Mapping[str, str], *, is_local: bool) -> str:
    flag = "true" if is_local else "false"
    return ", ".join(
        f"pg_catalog.set_config({_constant(name)}, {_constant(changed[name])}, {flag})"
        for name in sorted(changed)
    )


def _values(wanted: Mapping[str, str]) -> str:
    rows = ", ".join(f"({_constant(name)}, {_constant(value)})" for name, value in wanted.items())
    return f"(VALUES {rows}) AS wanted(name, value)"


def _constant(text: str) -> str:
    """Write a text constant.

    Plain ASCII stands in quotes. Anything else (other encodings, backslashes) goes as hex digits:
    how PostgreSQL would read it depends on the client_encoding and standard_conforming_strings of
    whoever used the server before. The bytes become text unconverted, as in a startup packet.
    """
    data = encode_text(text)
    if data.isascii() and text.isprintable() and "\\" not in text:
        quoted = text.replace("'", "''")
        return f"'{quoted}'::pg_catalog.text"
    return (
        f"pg_catalog.convert_from(pg_catalog.decode('{data.hex()}', 'hex'), "
        "pg_catalog.getdatabaseencoding())"
    )


def _is_plain_name(value: str) -> bool:
    """Whether it is an application_name that PostgreSQL neither cuts nor cleans."""
    return value.isascii() and (value.isprintable() or not value) and len(value) <= 63
