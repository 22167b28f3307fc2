"""The lines of a text file that somebody named."""

from __future__ import annotations

from pathlib import Path

from greenpool.errors import ConfigError


def read_lines(path: Path) -> list[str]:
    """Read a file of UTF-8. Raises: ConfigError."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as exc:
        raise ConfigError([f'cannot read "{path}": {exc.strerror}']) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{path}: not UTF-8: bad byte at offset {exc.start}"]) from exc
