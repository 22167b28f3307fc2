"""The log: forms, stable names, and lines that nobody can forge."""

from __future__ import annotations

import json
import logging
import re
import sys

import pytest

from greenpool.observe import log as logs
from greenpool.observe.log import StructuredFormatter, TextFormatter

pytestmark = pytest.mark.usefixtures("root_logger")

log = logging.getLogger("greenpool.test")


def record(message: str, *values: object, exc_info=None) -> logging.LogRecord:
    made = logging.LogRecord(
        "greenpool.test", logging.WARNING, __file__, 1, message, values, exc_info
    )
    made.created, made.msecs, made.process = 1767323045.678, 678.0, 4711
    return made


def test_text_line_has_time_pid_level_and_worker():
    line = TextFormatter(None).format(record("listening on %s", "::1"))
    assert line == "2026-01-02 03:04:05.678 UTC [4711] WARNING: listening on ::1"
    line = TextFormatter(3).format(record("ready"))
    assert line == "2026-01-02 03:04:05.678 UTC [4711] WARNING worker 3: ready"


def test_structured_line_has_every_field():
    fields = json.loads(StructuredFormatter(3).format(record("user %s", "bärbel\n")))
    assert fields == {
        "time": "2026-01-02T03:04:05.678Z",
        "level": "warning",
        "pid": 4711,
        "worker": 3,
        "logger": "greenpool.test",
        "event": "other",
        "message": "user bärbel\n",
    }
    assert json.loads(StructuredFormatter(None).format(record("x")))["worker"] is None


@pytest.mark.parametrize("formatter", [TextFormatter(None), StructuredFormatter(None)])
def test_client_text_cannot_make_a_second_line(formatter: logging.Formatter):
    forged = "eve\n2026-01-02 [1] INFO: all is well\r\x1b[2K\x85\u2028"
    line = formatter.format(record('user "%s"', forged))
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line


def test_traceback_continues_the_line_behind_tabs():
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        made = record("it broke", exc_info=sys.exc_info())
    first, *rest = TextFormatter(None).format(made).splitlines()
    assert first.endswith("WARNING: it broke")
    assert rest
    assert all(line.startswith("\t") for line in rest)
    assert "ValueError" in json.loads(StructuredFormatter(None).format(made))["exception"]


def test_setup_writes_to_standard_error_above_the_level(capfd: pytest.CaptureFixture[str]):
    logs.setup("warning", "text", None, None)
    log.info("unheard")
    log.warning("heard")
    out, err = capfd.readouterr()
    assert out == ""
    assert re.fullmatch(r"[-0-9]{10} [:.0-9]{12} UTC \[\d+\] WARNING: heard\n", err)


def test_setup_again_replaces_the_form(capfd: pytest.CaptureFixture[str]):
    logs.setup("info", "text", None, None)
    logs.setup("info", "structured", "", 1)
    log.info("once")
    lines = capfd.readouterr().err.splitlines()
    assert [json.loads(line)["worker"] for line in lines] == [1]
