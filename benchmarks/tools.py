"""The programs in C that measure, built from `_cparser/bench`, and the null server among them."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.record import ROOT

_BUILD = ROOT / "_cparser" / "bench" / "build"
_TOOLS = ROOT / "build" / "bench-tools"


def tool(name: str) -> Path:
    """Build a program unless it is there, and return its path. Raises: BenchError."""
    done = subprocess.run([str(_BUILD), name], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"{name} cannot be built:\n{done.stderr.strip()}")
    return _TOOLS / name


def start_null_server(stack: ExitStack) -> int:
    """Run a null server until the stack unwinds; return its port on 127.0.0.1."""
    process = subprocess.Popen(
        [str(tool("nullserver")), "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    stack.callback(_end, process)
    assert process.stdout is not None, "started with a pipe"
    port = process.stdout.readline()
    if not port:
        raise BenchError("the null server does not start")
    return int(port)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
