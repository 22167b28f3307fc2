"""Start in the background, and tell the one who asked whether it worked.

    command ── fork ── (setsid) ── fork ── the daemon: runs the master
       └── waits at a pipe for the verdict ◄─────────┘

The verdict is the exit code in one byte, the error text if there is one, and a zero byte: its end,
because workers inherit the pipe and keep it open. It comes when the master is ready or has failed;
a pipe that closes without it means that the master died.
The working directory stays, so that relative paths keep their meaning at a reload.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable

from greenpool.errors import ExitCode, GreenpoolError, StartupError

_READ_BYTES = 65536


def run_in_background(master: Callable[[Callable[[], None]], ExitCode]) -> ExitCode:
    """Fork a daemon that calls `master(ready)`; return its verdict to the caller.

    `master` calls `ready()` once it serves. Must be called before threads or sockets exist.
    Raises: StartupError when the daemon died without a word.
    """
    read_fd, write_fd = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_fd)
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        _be_daemon(master, write_fd)
    os.close(write_fd)
    os.waitpid(child, 0)
    return _await_verdict(read_fd)


def _be_daemon(master: Callable[[Callable[[], None]], ExitCode], verdict_fd: int) -> None:
    """Run the master and exit: the frames below belong to the command."""
    code = ExitCode.FAILED
    told = False

    def tell(verdict: ExitCode, text: str = "") -> None:
        nonlocal told
        if not told:
            told = True
            os.write(verdict_fd, bytes([verdict]) + text.replace("\0", "").encode() + b"\0")
            os.close(verdict_fd)

    try:
        _detach_stdio()
        code = master(lambda: tell(ExitCode.DONE))
    except GreenpoolError as exc:
        code = exc.exit_code
        tell(code, str(exc))
    except BaseException as exc:  # the outermost frame: the command must hear of a bug, too
        tell(code, f"{type(exc).__name__}: {exc}")
        sys.excepthook(type(exc), exc, exc.__traceback__)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _await_verdict(fd: int) -> ExitCode:
    verdict = b""
    while not verdict.endswith(b"\0", 1) and (chunk := os.read(fd, _READ_BYTES)):
        verdict += chunk
    os.close(fd)
    if not verdict.endswith(b"\0", 1):
        raise StartupError("greenpool ended while it was starting, without saying why")
    if text := verdict[1:-1].decode(errors="replace"):
        print(text, file=sys.stderr)
    return ExitCode(verdict[0])


def _detach_stdio() -> None:
    """Let go of the terminal. Standard error stays if it is a file: then it is the log."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        if fd != 2 or not stat.S_ISREG(os.fstat(fd).st_mode):
            os.dup2(null, fd)
    os.close(null)
