"""How PostgreSQL spells the values of common startup parameters.

Drivers ask for what nearly every server has anyway, each in its own spelling (`utf-8`, `iso`).
Spelled as servers report it, such a wish is seen to be none, and its client is let in without a
server being asked. What is not certain is left as it is, and PostgreSQL is asked. Pure.
Source: PostgreSQL `check_client_encoding`, `clean_encoding_name`, `check_datestyle`, `parse_bool`,
`check_timezone`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_NOT_IN_NAMES = re.compile("[^0-9a-z]")
_WORDS = re.compile(r"\s*([a-z]+)\s*(?:,\s*([a-z]+)\s*)?", re.ASCII | re.IGNORECASE)

_ENCODINGS = {
    "utf8": "UTF8",
    "unicode": "UTF8",
    "latin1": "LATIN1",
    "iso88591": "LATIN1",
    "latin9": "LATIN9",
    "iso885915": "LATIN9",
    "win1252": "WIN1252",
    "windows1252": "WIN1252",
    "sqlascii": "SQL_ASCII",
}
_STYLES = {"iso": "ISO", "sql": "SQL", "postgres": "Postgres"}
_ORDERS = {"mdy": "MDY", "dmy": "DMY", "ymd": "YMD"}
_BOOLEANS = {
    **dict.fromkeys(("on", "true", "yes", "1"), "on"),
    **dict.fromkeys(("off", "false", "no", "0"), "off"),
}


def spell(settings: Mapping[str, str], defaults: Mapping[str, str]) -> dict[str, str]:
    """Return settings as a server would report them that reports `defaults` at its login."""
    reported = {name.lower(): value for name, value in defaults.items()}
    return {
        name: _spell_one(name.lower(), value, reported.get(name.lower()))
        for name, value in settings.items()
    }


def _spell_one(name: str, value: str, default: str | None) -> str:
    speller = _SPELLERS.get(name)
    return value if speller is None or default is None else speller(value, default)


def _encoding(value: str, _default: str) -> str:
    if value == "UNICODE":  # told back like that, for the sake of old drivers
        return value
    return _ENCODINGS.get(_NOT_IN_NAMES.sub("", value.lower()), value)


def _date_style(value: str, default: str) -> str:
    """Put together a style and an order; the part that is not named stays as it is."""
    match, parts = _WORDS.fullmatch(value), default.split(", ")
    if match is None or len(parts) != 2:
        return value
    words = [word.lower() for word in match.groups() if word]
    styles = [_STYLES[word] for word in words if word in _STYLES]
    orders = [_ORDERS[word] for word in words if word in _ORDERS]
    if len(styles) + len(orders) < len(words) or len(styles) > 1 or len(orders) > 1:
        return value
    return f"{(styles or parts)[0]}, {(orders or parts)[-1]}"


def _name(value: str, default: str) -> str:
    is_same = value.isascii() and value.lower() == default.lower()
    return default if is_same else value


def _boolean(value: str, _default: str) -> str:
    return _BOOLEANS.get(value.lower(), value)


_SPELLERS: Mapping[str, Callable[[str, str], str]] = {
    "client_encoding": _encoding,
    "datestyle": _date_style,
    "default_transaction_read_only": _boolean,
    "intervalstyle": _name,
    "standard_conforming_strings": _boolean,
    "timezone": _name,
}
