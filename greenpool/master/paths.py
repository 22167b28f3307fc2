"""Where things lie: the configuration file, the pid file, and the control socket beside it."""

from __future__ import annotations

import os
from pathlib import Path

from greenpool.config.source import read_files
from greenpool.config.tree import Node, Problems
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
    named = _pid_file_in(path)
    if named is None:
        raise ConfigError(
            [f"{path}: general.pid_file is not set: commands find greenpool by it (or --pid-file)"]
        )
    return named


def control_path(pid_file: Path) -> Path:
    """Return the control socket that belongs to a pid file."""
    return pid_file.with_name(pid_file.name + ".sock")


def _pid_file_in(path: Path) -> Path | None:
    """Read the one key, however wrong the others are: a broken file must not keep anyone from
    `stop`, and `reload` leaves it to the master to say what is wrong.

    Raises: ConfigError when not even that can be read.
    """
    problems = Problems()
    root, _ = read_files(path, os.environ, problems)
    node = _member(_member(root, "general"), "pid_file")
    if node is not None and isinstance(node.value, str) and node.value:
        return node.mark.relative(node.value).absolute()
    problems.raise_if_any()
    return None


def _member(node: Node | None, name: str) -> Node | None:
    return node.value.get(name) if node is not None and isinstance(node.value, dict) else None
