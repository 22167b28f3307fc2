"""Run greenpool as a child process, as its user would start it."""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

from greenpool.demo.ending import end_process
from greenpool.demo.errors import DemoError
from greenpool.demo.waiting import wait_until

START_DEADLINE_S = 30.0

_SSL_REQUEST = struct.pack("!II", 8, 80877103)


class Pooler:
    """Own one `greenpool start` on a port of 127.0.0.1, its output in a log file."""

    def __init__(self, config: Path, port: int, log: Path) -> None:
        self.config = config
        self.port = port
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start greenpool and wait until a worker answers. Raises: DemoError with its log."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "greenpool", "start", "-c", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.config.parent,
                start_new_session=True,
            )
        try:
            wait_until(self._answers, START_DEADLINE_S, "greenpool does not answer")
        except DemoError as exc:
            raise DemoError(f"{exc}\n{self.log_tail()}") from exc

    def wait(self) -> None:
        """Return never, or raise DemoError when greenpool ends by itself."""
        if self._process is not None:
            self._process.wait()
        raise DemoError(f"greenpool ended by itself\n{self.log_tail()}")

    def stop(self) -> None:
        """Let transactions end, then exit; after a deadline exit at once, then by force."""
        if self._process is None:
            return
        end_process(self._process, signal.SIGTERM, signal.SIGQUIT)
        self._process = None

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise DemoError("greenpool ended while it was starting")
        return answers(("127.0.0.1", self.port))


def answers(address: tuple[str, int]) -> bool:
    """Say whether something there speaks PostgreSQL: it answers an SSLRequest, whatever it says."""
    try:
        with socket.create_connection(address, timeout=1) as probe:
            probe.sendall(_SSL_REQUEST)
            return probe.recv(1) in (b"N", b"S")
    except OSError:
        return False


def free_port() -> int:
    """Find a port of 127.0.0.1 that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
