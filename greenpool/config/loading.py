"""From a path to a checked configuration, or to the one key that commands need of a broken one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from greenpool.config.build import build
from greenpool.config.model import Config
from greenpool.config.source import read_files
from greenpool.config.tree import Node, Problems


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read, merge, check and resolve a configuration file and all that it includes.

    `environ` is what `${NAME}` refers to. Blocks on file reads: not for a worker's hub.
    Raises: ConfigError with every problem found.
    """
    problems = Problems()
    root, files = read_files(path, environ, problems)
    if not files:
        problems.raise_if_any()  # nothing was read: do not complain about missing pools too
    config = build(root, files, problems)
    problems.raise_if_any()
    return config


def peek_pid_file(path: Path, environ: Mapping[str, str]) -> Path | None:
    """Return general.pid_file alone, however wrong the other keys are; None: it is not set.

    A broken file must not keep anyone from `stop`, and `reload` leaves it to the master to say
    what is wrong. Raises: ConfigError when not even this key can be read.
    """
    problems = Problems()
    root, _ = read_files(path, environ, problems)
    node = _member(_member(root, "general"), "pid_file")
    if node is not None and isinstance(node.value, str) and node.value:
        return node.mark.relative(node.value).absolute()
    problems.raise_if_any()
    return None


def _member(node: Node | None, name: str) -> Node | None:
    return node.value.get(name) if node is not None and isinstance(node.value, dict) else None
