"""Where things lie: the configuration file, the pid file, and the control socket beside it."""

from __future__ import annotations

import os
from pathlib import Path

from greenpool.config import peek_pid_file
from greenpool.errors import ConfigError

DEFAULT_FILES = (Path("greenpool.yaml"), Path("/etc/greenpool/greenpool.yaml"))


def find_config(given: Path | None) -> Path:
    """Return the configuration file to use, absolute. Raises: ConfigError when there is none."""
    if given is not None:
        return given.absolute()
    for path in DEFAULT_FILES:
        if path.is_file():
            return path.absolute()
    tried = " nor ".join(f'"{path}"' for path in DEFAULT_FILES)
    raise ConfigError(
        [f"there is neither {tried}: name a file with -c, or make one from `generate --sample`"]
    )


def find_pid_file(given_config: Path | None, given: Path | None) -> Path:
    """Return the pid file by which a command finds the running master.

    Raises: ConfigError when neither the command line nor the configuration names one.
    """
    if given is not None:
        return given.absolute()
    path = find_config(given_config)
    named = peek_pid_file(path, os.environ)
    if named is None:
        raise ConfigError(
            [f"{path}: general.pid_file is not set: commands find greenpool by it (or --pid-file)"]
        )
    return named


def control_path(pid_file: Path) -> Path:
    """Return the control socket that belongs to a pid file."""
    return pid_file.with_name(pid_file.name + ".sock")
