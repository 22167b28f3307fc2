"""Syslog: what it hears, and where lines go while it is away."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest

from greenpool.observe import log as logs
from greenpool.observe import syslog
from tests.unit.observe.datagrams import listen

log = logging.getLogger("greenpool.test")


@pytest.fixture(autouse=True)
def path(root_logger: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where syslog is looked for; nobody is there."""
    monkeypatch.setattr(syslog, "SYSLOG_SOCKET", str(tmp_path / "log"))
    return tmp_path / "log"


def test_syslog_gets_the_name_and_no_second_time(path: Path):
    with listen(path) as syslogd:
        logs.setup("info", "text", "pooler", 2)
        log.warning("heard")
        assert syslogd.recv(1000) == b"<28>pooler: WARNING worker 2: heard"


def test_syslog_gets_structured_lines_too(path: Path):
    with listen(path) as syslogd:
        logs.setup("info", "structured", "pooler", None)
        log.error("heard")
        line = syslogd.recv(1000).decode()
        assert line.startswith("<27>pooler: {")
        assert json.loads(line.partition(": ")[2])["message"] == "heard"


@pytest.mark.parametrize("what", ["missing", "deaf", "a file"])
def test_without_syslog_lines_go_to_standard_error_and_the_first_says_why(
    what: str, path: Path, capfd: pytest.CaptureFixture[str]
):
    if what == "a file":
        path.touch()
    elif what == "deaf":
        listen(path).close()
    logs.setup("info", "text", "pooler", None)
    log.info("one")
    log.info("two")
    warning, one, two = capfd.readouterr().err.splitlines()
    assert 'WARNING: cannot log to syslog as "pooler" ' in warning
    assert str(path) in warning
    assert re.search(r" UTC \[\d+\] INFO: one$", one)
    assert two.endswith("INFO: two")


def test_each_outage_is_told_once_and_ends_by_itself(path: Path, capfd: pytest.CaptureFixture[str]):
    logs.setup("info", "text", "pooler", None)
    log.info("one")
    with listen(path) as syslogd:
        log.info("two")
        assert syslogd.recv(1000).endswith(b"INFO: two")
    log.info("three")
    log.info("four")
    lines = [line.partition("] ")[2] for line in capfd.readouterr().err.splitlines()]
    assert [line.split()[:2] for line in lines] == [
        ["WARNING:", "cannot"],
        ["INFO:", "one"],
        ["WARNING:", "cannot"],
        ["INFO:", "three"],
        ["INFO:", "four"],
    ]


def test_line_that_cannot_be_formatted_is_a_bug_and_shown_as_one(
    path: Path, capfd: pytest.CaptureFixture[str]
):
    with listen(path):
        logs.setup("info", "text", "pooler", None)
        log.info("%d of them", "many")
    assert "Logging error" in capfd.readouterr().err
