"""From a path to a checked configuration: the one way in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from greenpool.config.build import build
from greenpool.config.model import Config
from greenpool.config.source import read_files
from greenpool.config.tree import Problems


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
