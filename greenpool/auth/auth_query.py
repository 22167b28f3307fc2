"""auth_query: what PostgreSQL is asked about a user, and what its answer says. Pure.

    passwd | password    md5..., SCRAM-SHA-256$..., a plain password, or NULL
    startup_parameters   optional: a JSON object of settings, as text or json

Law: no row means that there is no such user; whatever else is not exactly one row of these
columns is a mistake of the query, and nobody is let in by it. A plain password becomes a SCRAM
secret at once (`secret_of`), and is kept no longer than that. No error names a value of the row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from greenpool.auth.secret import (
    Derive,
    PlainSecret,
    Secret,
    SecretError,
    prepare_secret,
)
from greenpool.config import is_setting
from greenpool.errors import GreenpoolError
from greenpool.protocol import frontend
from greenpool.protocol.body import Body, MalformedBody
from greenpool.protocol.message import BackendType, Message, decode_text

_SECRET_COLUMNS = ("passwd", "password")
_PARAMETERS_COLUMN = "startup_parameters"
_MAX_PARAMETERS = 64
_MAX_VALUE_BYTES = 1024
"""Bounds on the settings of one user, who brings them to every login."""


class AuthQueryError(GreenpoolError):
    """The query does not answer as it should."""


@dataclass(frozen=True, slots=True)
class FoundRow:
    """What the query says of a user that exists; `password` None: it has none that fits."""

    password: str | None = field(repr=False)
    parameters: Mapping[str, str]


def request(query: str, user: str) -> bytes:
    """Build the messages that ask about a user."""
    return frontend.extended_query(query, user)


def read_answer(messages: Iterable[Message]) -> FoundRow | None:
    """Return what the answer says of the user; None: there is none. Raises: AuthQueryError."""
    names: Sequence[str] = ()
    rows: list[Sequence[str | None]] = []
    try:
        for message in messages:
            if message.type is BackendType.ROW_DESCRIPTION:
                names = _read_names(Body(message.body))
            elif message.type is BackendType.DATA_ROW:
                rows.append(_read_values(Body(message.body)))
    except MalformedBody as exc:
        raise AuthQueryError(f"the answer cannot be read: {exc}") from exc
    column = _secret_column(names)
    if len(rows) > 1:
        raise AuthQueryError(f"the query returns {len(rows)} rows for one user")
    if not rows:
        return None
    [values] = rows
    row = dict(zip(names, values, strict=True))
    return FoundRow(values[column], _parameters(row.get(_PARAMETERS_COLUMN)))


def secret_of(
    row: FoundRow, user: str, mock_key: bytes, derive: Derive, iterations: int
) -> Secret | None:
    """Return what verifies the user. Switches: if `derive` does. Raises: AuthQueryError."""
    if not row.password:
        return None
    try:
        secret = prepare_secret(row.password, user, mock_key, derive, iterations)
    except SecretError as exc:
        raise AuthQueryError(str(exc)) from exc
    return secret.scram if isinstance(secret, PlainSecret) else secret


def _read_names(body: Body) -> list[str]:
    names = []
    for _ in range(body.u16()):
        names.append(body.cstring())
        body.take(18)  # table, attribute, type, its size and modifier, format
    return names


def _read_values(body: Body) -> list[str | None]:
    lengths = (body.i32() for _ in range(body.u16()))
    return [None if length < 0 else decode_text(body.take(length)) for length in lengths]


def _secret_column(names: Sequence[str]) -> int:
    """Return the index of the secret: by its name, or what alone is left beside the user's."""
    for name in _SECRET_COLUMNS:
        if name in names:
            return names.index(name)
    others = [index for index, name in enumerate(names) if name != _PARAMETERS_COLUMN]
    if len(others) not in (1, 2):
        raise AuthQueryError('the query returns no column "passwd" or "password"')
    return others[-1]


def _parameters(text: str | None) -> dict[str, str]:
    """Read the JSON object of one user's settings."""
    if text is None:
        return {}
    try:
        settings = json.loads(text)
    except ValueError:
        raise AuthQueryError(f"{_PARAMETERS_COLUMN} is not JSON") from None
    if not isinstance(settings, dict) or len(settings) > _MAX_PARAMETERS:
        what = f"an object of at most {_MAX_PARAMETERS} settings"
        raise AuthQueryError(f"{_PARAMETERS_COLUMN} is not {what}")
    return {name: _parameter(name, value) for name, value in settings.items()}


def _parameter(name: str, value: object) -> str:
    if not is_setting(name):
        raise AuthQueryError(f"{_PARAMETERS_COLUMN}: {name!r} is not the name of a setting")
    text = value if isinstance(value, str) else json.dumps(value)
    if isinstance(value, dict | list) or value is None or "\0" in text:
        raise AuthQueryError(f'{_PARAMETERS_COLUMN}: the value of "{name}" is none of a setting')
    if len(text) > _MAX_VALUE_BYTES:
        raise AuthQueryError(f'{_PARAMETERS_COLUMN}: the value of "{name}" is too long')
    return text
