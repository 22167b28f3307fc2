"""`greenpool top` at a running greenpool: piped, as JSON, and live on a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte
import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.waiting import wait_for

PG15 = pytest.mark.parametrize("_server", [15], indirect=True, ids=["pg15"])
_SIZE = (40, 150)


class Terminal:
    """A terminal with `greenpool top` in it."""

    def __init__(self, pooler: Pooler) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, _SIZE)
        self._before = termios.tcgetattr(theirs)
        self._theirs = theirs
        self._screen = pyte.Screen(_SIZE[1], _SIZE[0])
        self._stream = pyte.ByteStream(self._screen)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "greenpool", "top", "--interval", "0.2"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=pooler.directory,
            env={**os.environ, "TERM": "xterm"},
        )

    def press(self, key: str) -> None:
        os.write(self._ours, key.encode())

    def shows(self, text: str) -> None:
        """Wait until this stands somewhere on the screen."""
        wait_for(lambda: text in self._look(), f"the terminal shows {text!r}")

    def has_ended(self) -> bool:
        self._look()
        return self.process.poll() is not None

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self._theirs) == self._before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def _look(self) -> str:
        while select.select([self._ours], [], [], 0)[0]:
            self._stream.feed(os.read(self._ours, 65536))
        return "\n".join(self._screen.display)


@contextmanager
def terminal(pooler: Pooler) -> Iterator[Terminal]:
    opened = Terminal(pooler)
    try:
        yield opened
    finally:
        opened.close()


def top(pooler: Pooler, *arguments: str) -> str:
    done = pooler.command("top", "-c", str(pooler.config_path), "--interval", "0.1", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@PG15
def test_piped_it_is_tables(make_pooler: MakePooler) -> None:
    pooler = make_pooler(workers=1)
    with pooler.connect() as connection:
        connection.execute("begin; select 1")
        said = top(pooler)
    assert said.startswith("clients: 1 active, 0 waiting")
    tables = said.split("\n\n")[1:]
    assert [table.split()[0] for table in tables] == ["worker", "database", "database"]
    assert top(pooler, "--count", "2").count("clients: ") == 2


@PG15
def test_json_is_an_object_a_line(make_pooler: MakePooler) -> None:
    pooler = make_pooler(workers=1)
    first, second = map(json.loads, top(pooler, "--json", "--count", "2").splitlines())
    assert [pool["database"] for pool in first["pools"]] == ["app", "bench"]
    assert second["workers"][0]["pid"] == pooler.worker_pids()[0]


@PG15
def test_live_it_follows_keys_and_gives_the_terminal_back(make_pooler: MakePooler) -> None:
    pooler = make_pooler(workers=1)
    with terminal(pooler) as shown:
        shown.shows("running   by waiting")
        shown.press("s")
        shown.shows("by active")
        shown.press(" ")
        shown.shows("paused")
        shown.press("q")
        wait_for(shown.has_ended, "top has ended")
        assert shown.process.returncode == 0
        assert shown.is_as_before()


@PG15
def test_live_it_outlives_greenpool(make_pooler: MakePooler) -> None:
    pooler = make_pooler(workers=1)
    with terminal(pooler) as shown:
        shown.shows("running   by waiting")
        pooler.stop()
        shown.shows("cannot reach greenpool")
        pooler.start()
        shown.shows("running")
        shown.press("q")
        wait_for(shown.has_ended, "top has ended")


@PG15
def test_greenpool_that_does_not_run_is_said(make_pooler: MakePooler) -> None:
    pooler = make_pooler(workers=1)
    pooler.stop()
    done = pooler.command("top", "-c", str(pooler.config_path))
    assert done.returncode == 1
    assert done.stderr.startswith("greenpool: cannot reach greenpool at 127.0.0.1 port")


def test_bash_completes_commands_and_names(tmp_path: Path) -> None:
    programs = Path(sys.executable).parent
    script = """
eval "$(greenpool completion bash)"
complete -p greenpool
COMP_WORDS=(greenpool show dat) COMP_CWORD=2
_greenpool_completion greenpool
echo "${COMPREPLY[@]}"
COMPREPLY=() COMP_WORDS=(greenpool comp) COMP_CWORD=1
_greenpool_completion greenpool
echo "${COMPREPLY[@]}"
"""
    done = subprocess.run(
        ["bash", "-c", script],
        env={"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["databases", "completion"]
