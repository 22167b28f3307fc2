"""The journal: what it hears where standard error ends in it, and who hears while it is away."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import pytest

from greenpool.observe import events, journal
from greenpool.observe import log as logs
from tests.unit.observe.datagrams import listen

log = logging.getLogger("greenpool.test")


@pytest.fixture(autouse=True)
def path(root_logger: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the journal is looked for; nobody is there."""
    monkeypatch.setattr(journal, "JOURNAL_SOCKET", str(tmp_path / "journal"))
    return tmp_path / "journal"


@pytest.fixture
def stream(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have standard error end in the journal, as far as the environment says."""
    status = os.fstat(sys.stderr.fileno())
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")


@pytest.mark.usefixtures("stream")
def test_journal_gets_the_event_and_its_fields(path: Path):
    with listen(path) as journald:
        logs.setup("info", "text", None, 2)
        events.FORK_FAILED.tell(log, process="worker 1", error="no room")
        lines = journald.recv(4096).decode().splitlines()
    assert lines == [
        "MESSAGE=ERROR worker 2: cannot fork worker 1, trying again in 1 s: no room",
        "PRIORITY=3",
        "SYSLOG_IDENTIFIER=greenpool",
        "GREENPOOL_LOGGER=greenpool.test",
        "GREENPOOL_EVENT=fork_failed",
        "GREENPOOL_WORKER=2",
        "GREENPOOL_PROCESS=worker 1",
        "GREENPOOL_ERROR=no room",
    ]


@pytest.mark.usefixtures("stream")
def test_what_a_client_sent_makes_no_field_of_its_own(path: Path):
    with listen(path) as journald:
        logs.setup("info", "structured", None, None)
        events.CLIENT_SILENT.tell(log, who="eve\nPRIORITY=0\nGREENPOOL_EVENT=ready")
        data = journald.recv(4096)
    message, rest = data.split(b"\n", 1)
    assert json.loads(message.removeprefix(b"MESSAGE="))["who"].startswith("eve\nPRIORITY")
    value = b"eve\nPRIORITY=0\nGREENPOOL_EVENT=ready"
    assert rest.endswith(b"GREENPOOL_WHO\n" + len(value).to_bytes(8, "little") + value + b"\n")
    assert rest.startswith(b"PRIORITY=6\n")


@pytest.mark.usefixtures("stream")
def test_without_the_journal_lines_go_to_standard_error(
    path: Path, capfd: pytest.CaptureFixture[str]
):
    logs.setup("info", "text", None, None)
    log.info("one")
    with listen(path) as journald:
        log.info("two")
        assert b"INFO: two" in journald.recv(4096)
    log.info("three")
    lines = [line.partition("] ")[2] for line in capfd.readouterr().err.splitlines()]
    assert [line.split()[:2] for line in lines] == [
        ["WARNING:", "cannot"],
        ["INFO:", "one"],
        ["WARNING:", "cannot"],
        ["INFO:", "three"],
    ]


@pytest.mark.parametrize("named", ["", "1:2", "nonsense"])
def test_another_stream_is_not_the_journal(
    named: str, path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("JOURNAL_STREAM", named)
    with listen(path):
        logs.setup("info", "text", None, None)
        log.info("here")
    assert capfd.readouterr().err.endswith("INFO: here\n")
