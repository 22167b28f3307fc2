"""How this greenpool was started, so that an upgrade can start what is installed by then.

What is run is a path, never this process's own memory: packages replace files in place, and a
symbolic link (`current`) may lead elsewhere by then. So the working directory is the one of the
shell, links and all, where that is the same place.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Program:
    """`command` runs greenpool; with `arguments` and in `directory` it starts as it did."""

    command: tuple[str, ...]
    arguments: tuple[str, ...]
    directory: str | None

    @classmethod
    def of_this_process(cls) -> Program:
        """Look at this process; early, before it can have changed anything of it."""
        arguments = sys.argv[1:]
        before = sys.orig_argv[1 : len(sys.orig_argv) - len(arguments)]
        return cls((sys.executable, *before), tuple(arguments), _directory())


def _directory() -> str | None:
    """Return the working directory as the shell names it; None: it is no more."""
    try:
        real = os.getcwd()
        named = os.environ.get("PWD", "")
        if os.path.isabs(named) and os.path.samefile(named, real):
            return named
    except OSError:
        return None
    return real
