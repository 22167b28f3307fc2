"""PgBouncer's auth_file: lines of "user" "secret"; a quote within is written twice.

Source: PgBouncer's documentation, "Authentication file format".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from greenpool.errors import ConfigError

_LINE = re.compile(r'\s*"((?:[^"]|"")*)"\s+"((?:[^"]|"")*)"')


def read_userlist(path: Path) -> Mapping[str, str]:
    """Return secrets by user, empty ones too. Raises: ConfigError."""
    secrets: dict[str, str] = {}
    for number, line in enumerate(_lines(path), 1):
        if not line.strip() or line.lstrip().startswith((";", "#")):
            continue
        match = _LINE.match(line)
        if match is None:
            raise ConfigError([f'{path}:{number}:1: expected "user" "secret"'])
        user, secret = (part.replace('""', '"') for part in match.groups())
        secrets.setdefault(user, secret)
    return secrets


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as exc:
        raise ConfigError([f'cannot read "{path}": {exc.strerror}']) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{path}: not UTF-8: bad byte at offset {exc.start}"]) from exc
