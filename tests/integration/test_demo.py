"""`greenpool demo` shows what it promises, stays, and leaves nothing behind when it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.integration.harness.ports import PortLock
from tests.integration.harness.waiting import wait_for

_RUN = (
    "import sys; from greenpool.demo import run; sys.exit(run(sys.stdout, port=int(sys.argv[1])))"
)


class Demo:
    """Own one demonstration, whose files go below `directory`."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self._output = directory.with_suffix(".out")
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _RUN, str(port)],
                env={**os.environ, "TMPDIR": str(directory)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_to_say(self, text: str) -> None:
        def said() -> bool:
            assert self.process.poll() is None, self.output
            return text in self.output

        wait_for(said, f"the demonstration says {text!r}", deadline_s=40)


@pytest.fixture
def demo() -> Iterator[Demo]:
    # Not tmp_path: the private PostgreSQL's user must be able to walk down to its files.
    with _open_directory() as directory:
        lock = PortLock()
        demo = Demo(directory, lock.port)
        yield demo
        demo.process.kill()
        demo.process.wait()
        lock.release()


@contextmanager
def _open_directory() -> Iterator[Path]:
    base = Path(f"/tmp/greenpool-demo-test-{os.getpid()}")
    directory = base / "files"
    directory.mkdir(parents=True)
    try:
        yield directory
    finally:
        (base / "files.out").unlink()
        directory.rmdir()  # fails unless the demonstration removed everything
        base.rmdir()


def test_demo_shows_a_query_and_a_load_and_stays(demo: Demo) -> None:
    demo.wait_to_say("Press Ctrl-C")
    assert re.search(r"branch \| accounts", demo.output)
    assert re.search(r"1 \|   100000", demo.output)
    figures = re.findall(r"([\d,]+) transactions/s +[\d.]+ ms   20 clients on (\d+)", demo.output)
    assert len(figures) >= 4
    assert all(int(rate.replace(",", "")) > 0 for rate, _ in figures)
    assert all(1 <= int(servers) <= 5 for _, servers in figures)
    dsn = re.search(r"^ +(postgresql://\S+)$", demo.output, re.MULTILINE)
    assert dsn is not None
    with psycopg.connect(dsn[1], prepare_threshold=None) as connection:
        assert connection.execute("select count(*) from pgbench_accounts").fetchone() == (100000,)
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(20) == 0
    assert list(demo.directory.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_demo_cleans_up_when_stopped_early(demo: Demo, number: signal.Signals) -> None:
    demo.wait_to_say("Starting a private PostgreSQL")
    demo.process.send_signal(number)
    assert demo.process.wait(20) == 0
    assert "Stopping" in demo.output
    assert list(demo.directory.iterdir()) == []
