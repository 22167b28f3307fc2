"""Who speaks with the console: its name, its rights, and the session settings that it has SET.

Drivers and tools set things when they connect and ask for them again. No answer of the console
depends on a setting, so what was SET is only kept, to be shown.
Partners: `chatter.py` (SET, RESET, SHOW of a setting), `selection.py` (set_config and the like).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from greenpool.admin.welcome import WELCOME_PARAMETERS
from greenpool.protocol.errors import ClientError, Severity, SqlState

MAX_SETTING_CHARS = 1000
"""Longest value of a setting that is kept for one session."""

# client_encoding is among them: whatever a client asks for at its start, it is answered in UTF8.
_FIXED: Mapping[str, str] = {
    **WELCOME_PARAMETERS,
    "in_hot_standby": "off",
    "transaction_isolation": "read committed",
    "transaction_read_only": "off",
}
_SETTABLE: Mapping[str, str] = {
    "application_name": "",
    "bytea_output": "hex",
    "client_min_messages": "notice",
    "DateStyle": WELCOME_PARAMETERS["DateStyle"],
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "extra_float_digits": "1",
    "idle_in_transaction_session_timeout": "0",
    "IntervalStyle": "postgres",
    "jit": "off",
    "lock_timeout": "0",
    "search_path": "",
    "standard_conforming_strings": WELCOME_PARAMETERS["standard_conforming_strings"],
    "statement_timeout": "0",
    "TimeZone": WELCOME_PARAMETERS["TimeZone"],
}

SETTINGS: Mapping[str, str] = {
    name.lower(): name for name in sorted({**_FIXED, **_SETTABLE}, key=str.lower)
}
"""The names of all session settings as PostgreSQL writes them, by their names in lower case."""

SETTABLE = frozenset(name.lower() for name in _SETTABLE)
"""Those that a session may change, in lower case."""


class Rights(Enum):
    """What a user of the console may say."""

    ADMIN = auto()
    STATS = auto()
    """SHOW, but for what asks the workers or has texts of queries; and what drivers say."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """One session of the console. `pid` is what its BackendKeyData said.

    `begun` has the parameters of its startup packet; those that are no settings here do nothing.
    """

    user: str
    database: str
    pid: int
    rights: Rights
    begun: Mapping[str, str] = field(default_factory=dict)
    _set: dict[str, str] = field(default_factory=dict)

    def setting(self, name: str) -> str:
        """Return the value of one of SETTINGS; the name is in lower case."""
        written = SETTINGS[name]
        if name not in SETTABLE:
            return _FIXED[written]
        return self._set.get(name, self.begun.get(written, _SETTABLE[written]))

    def settings(self) -> Iterator[tuple[str, str]]:
        """Go through the names of all settings, as PostgreSQL writes them, and their values."""
        return ((written, self.setting(name)) for name, written in SETTINGS.items())

    def set(self, name: str, value: str) -> None:
        """Keep the value of one of SETTABLE. Raises: ClientError for one that is too long."""
        if len(value) > MAX_SETTING_CHARS:
            message = f"value of {name} is longer than {MAX_SETTING_CHARS} characters"
            raise ClientError(Severity.ERROR, SqlState.INVALID_PARAMETER_VALUE, message)
        self._set[name] = value

    def reset(self, name: str | None = None) -> None:
        """Go back to the value of the beginning; without a name for all."""
        if name is None:
            self._set.clear()
        else:
            self._set.pop(name, None)
