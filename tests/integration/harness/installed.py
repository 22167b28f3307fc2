"""A greenpool whose program can be exchanged for another, as an installation does it.

The program that is run is a file, at its start and at each upgrade.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.integration.harness.pooler import Pooler

GOOD = "from greenpool.cli import main\nmain()\n"


class Installed(Pooler):
    """A pooler whose program is a file of its own; `first` is what is installed at its start."""

    first = GOOD

    @property
    def program(self) -> Path:
        return self.directory / "installed.py"

    def install(self, text: str) -> None:
        self.program.write_text(text)

    def start(self) -> None:
        if not self.program.exists():
            self.install(self.first)
        super().start()

    def _command(self, *arguments: str) -> list[str]:
        if arguments[0] == "start":
            return [sys.executable, str(self.program), *arguments]
        return super()._command(*arguments)


def status(pooler: Pooler) -> dict[str, Any]:
    """Return what `greenpool status` tells."""
    done = pooler.command("status", "--json", "-c", str(pooler.config_path))
    assert done.returncode == 0, done.stderr
    fields: dict[str, Any] = json.loads(done.stdout)
    return fields
