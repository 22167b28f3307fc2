"""PgBouncer's auth_file: lines of "user" "secret"; a quote within is written twice.

Source: PgBouncer's documentation, "Authentication file format".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from greenpool.errors import ConfigError
from greenpool.generate.lines import read_lines

_LINE = re.compile(r'\s*"((?:[^"]|"")*)"\s+"((?:[^"]|"")*)"')


def read_userlist(path: Path) -> Mapping[str, str]:
    """Return secrets by user, empty ones too. Raises: ConfigError."""
    secrets: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip() or line.lstrip().startswith((";", "#")):
            continue
        match = _LINE.match(line)
        if match is None:
            raise ConfigError([f'{path}:{number}:1: expected "user" "secret"'])
        user, secret = (part.replace('""', '"') for part in match.groups())
        secrets.setdefault(user, secret)
    return secrets
