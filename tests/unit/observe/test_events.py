"""The contract of the log: each event is told somewhere, and with the fields that it has."""

from __future__ import annotations

import ast
import json
import logging
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import greenpool
from greenpool.observe import events
from greenpool.observe.event import Event, from_text, keep_with, to_text
from greenpool.observe.events import EVENTS, KEPT
from greenpool.observe.log import OTHER, StructuredFormatter, TextFormatter
from greenpool.records import EngineIo

ROOT = Path(greenpool.__file__).parent
CONSTANTS = {name: each for name, each in vars(events).items() if isinstance(each, Event)}
_TELLS = (".tell", ".record")
# What every line has; an event's own fields are beside them.
COMMON = {"time", "level", "pid", "worker", "logger", "event", "message", "exception"}

log = logging.getLogger("greenpool.test")


@pytest.fixture
def kept() -> Iterator[list[tuple[int, str]]]:
    kept: list[tuple[int, str]] = []
    keep_with(lambda number, text: kept.append((number, text)))
    yield kept
    keep_with(None)


def tellings() -> dict[str, list[set[str]]]:
    """Find every `events.NAME.tell(log, field=...)`; give the fields by name."""
    found: dict[str, list[set[str]]] = defaultdict(list)
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(_TELLS):
                words = ast.unparse(node.func).split(".")
                if len(words) == 3 and words[0] == "events":
                    fields = {each.arg for each in node.keywords}
                    assert None not in fields, f"{path}:{node.lineno} hides its fields"
                    found[words[1]].append({str(each) for each in fields})
    return found


def test_every_event_is_told_with_its_fields() -> None:
    told = tellings()
    assert set(told) == set(CONSTANTS)
    for name, event in CONSTANTS.items():
        for fields in told[name]:
            assert fields == set(event.fields), name


def test_only_lines_for_who_works_on_greenpool_have_no_event() -> None:
    """They are of level debug: docs/logs.md says so."""
    found = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assign) and "logging.getLogger(__name__)" in ast.unparse(node):
                assert ast.unparse(node.targets[0]) == "log", path
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log."):
                found.add((path.name, ast.unparse(node.func)))
    assert {name for _, name in found} == {"log.debug", "log.log", "log.isEnabledFor"}
    assert {path for path, name in found if name == "log.log"} == {"event.py"}


def test_a_bug_is_told_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("no such thing")
    events.BUG.tell(log, error, what="cannot do it")
    line = json.loads(StructuredFormatter(None).format(caplog.records[0]))
    assert (line["event"], line["what"], line["level"]) == ("bug", "cannot do it", "error")
    assert "ValueError: no such thing" in line["exception"]


def test_names_are_told_apart() -> None:
    assert len({event.name for event in EVENTS}) == len(EVENTS)
    assert OTHER not in {event.name for event in EVENTS}
    assert all(name.lower() == event.name for name, event in CONSTANTS.items())
    assert all(not COMMON & set(event.fields) for event in EVENTS)
    numbers = [event.kept for event in EVENTS if event.kept is not None]
    assert len(set(numbers)) == len(numbers) == len(KEPT)
    assert max(numbers) < 32  # GP_CHRONICLE_KINDS


def test_an_event_is_logged_with_its_name_and_fields(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        events.STOPPING.tell(log, timeout_s=2.5)
        log.info("in passing")
    line, other = (json.loads(StructuredFormatter(None).format(each)) for each in caplog.records)
    assert (line["event"], line["timeout_s"]) == ("stopping", 2.5)
    assert line["message"] == "stopping: transactions have 2.5 s to end"
    assert (other["event"], other["message"]) == (OTHER, "in passing")
    assert line["message"] in TextFormatter(None).format(caplog.records[0])


def test_a_field_that_is_one_of_few_is_its_word(caplog: pytest.LogCaptureFixture) -> None:
    """The number of an IntEnum was told, which nobody can read."""
    with caplog.at_level(logging.INFO):
        events.CAPACITY.tell(
            log,
            workers=1,
            io_backend=EngineIo.URING,
            pools=1,
            servers_max=1,
            clients_max=1,
            files_max=1,
        )
    line = json.loads(StructuredFormatter(None).format(caplog.records[0]))
    assert (line["io_backend"], line["workers"]) == ("io_uring", 1)


def test_what_happens_to_the_house_is_kept_at_any_level(
    kept: list[tuple[int, str]], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        events.STOPPING.tell(log, timeout_s=1)
        events.STOPPED.tell(log)
    assert caplog.records == []
    [(number, text)] = kept
    assert KEPT[number] is events.STOPPING
    assert from_text(text) == ("stopping: transactions have 1 s to end", {"timeout_s": "1"})


def test_what_clients_cause_is_limited_unless_it_can_be_turned_off() -> None:
    theirs = {event.name for event in EVENTS if event.name.startswith("client_")}
    limited = {event.name for event in EVENTS if event.is_limited}
    assert theirs - limited == {"client_connected", "client_disconnected"}


@pytest.mark.parametrize("size", range(40))
def test_a_kept_event_can_be_cut_anywhere(size: int) -> None:
    text = to_text("a {message}", {"why": "x=y\0z", "pid": 7})
    assert from_text(text) == ("a {message}", {"why": "x=y z", "pid": "7"})
    message, fields = from_text(text[:size])
    assert "a {message}".startswith(message)
    assert set(fields) <= {"why", "pid", "p", "pi", "w", "wh", ""}
