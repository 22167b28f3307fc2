"""The password for asking PostgreSQL, from where libpq's programs have it.

    a file named on the command line, PGPASSWORD, PGPASSFILE or ~/.pgpass; none: trust or peer

Source: libpq "Environment Variables", "The Password File".
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path

from greenpool.errors import ControlError

_FIELDS = re.compile(r"(?:^|:)((?:\\.|[^:\\])*)")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def find_password(
    file: Path | None, environ: Mapping[str, str], address: tuple[str, int], name: tuple[str, str]
) -> str | None:
    """Return the password of `name`, database and user, at `address`, host and port.

    Raises: ControlError when a file that was named cannot be used.
    """
    if file is not None:
        return _read(file).removesuffix("\n").removesuffix("\r")
    if environ.get("PGPASSWORD"):
        return environ["PGPASSWORD"]
    named = environ.get("PGPASSFILE")
    path = Path(named) if named else Path(environ.get("HOME", "/")) / ".pgpass"
    if not path.is_file():
        return None
    if path.stat().st_mode & _OTHERS:
        raise ControlError(f'"{path}" can be read by others than its owner: chmod 0600 it')
    host = "localhost" if address[0].startswith("/") else address[0]
    return _look_up(_read(path), (host, str(address[1]), *name))


def _look_up(text: str, wanted: tuple[str, ...]) -> str | None:
    """Return what the first line that fits says: host, port, database, user, password."""
    for line in text.splitlines():
        fields = [re.sub(r"\\(.)", r"\1", field) for field in _FIELDS.findall(line)]
        fits = len(fields) == 5 and not line.startswith("#")
        if fits and all(a in ("*", b) for a, b in zip(fields, wanted, strict=False)):
            return fields[4]
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        raise ControlError(f'cannot read "{path}": {exc.strerror}') from exc
    except UnicodeDecodeError as exc:
        raise ControlError(f'"{path}" is not UTF-8') from exc
