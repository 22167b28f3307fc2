"""Run greenpool with the sanitizer build of its engine, when the environment asks for it.

`scripts/test --san` builds the whole program with AddressSanitizer and UndefinedBehaviorSanitizer
into a directory and names that directory in GREENPOOL_SANITIZED. Only greenpool's processes run
with it: PYTHONPATH puts the build before the checkout, LD_PRELOAD brings the runtime libraries.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

_OPTIONS = "detect_leaks=0:abort_on_error=0:exitcode=99:log_path={log}"


def environment(directory: Path) -> dict[str, str]:
    """Return what greenpool's environment needs besides ours; reports go into `directory`."""
    build = os.environ.get("GREENPOOL_SANITIZED")
    if not build:
        return {}
    log = directory / "sanitizer"
    return {
        "PYTHONPATH": build,
        "LD_PRELOAD": " ".join(_runtime(name) for name in ("libasan.so", "libubsan.so")),
        "ASAN_OPTIONS": _OPTIONS.format(log=log),
        "UBSAN_OPTIONS": f"print_stacktrace=1:halt_on_error=1:exitcode=99:log_path={log}",
    }


def reports(directory: Path) -> str:
    """Return what the sanitizers had to say about the processes of `directory`; "" is good."""
    return "\n".join(path.read_text() for path in sorted(directory.glob("sanitizer.*")))


@cache
def _runtime(name: str) -> str:
    found = subprocess.run(
        ["gcc", f"-print-file-name={name}"], check=True, capture_output=True, text=True
    ).stdout.strip()
    if not os.path.isabs(found):
        raise RuntimeError(f"gcc does not know {name}: the sanitizer libraries are not installed")
    return found
