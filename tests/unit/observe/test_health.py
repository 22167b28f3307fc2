"""/healthz and /readyz: when they say no, and in which words."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenpool.observe.health import STUCK_S
from greenpool.observe.http import Request
from greenpool.observe.pages import Pages
from greenpool.rows import WorkerRow
from tests.unit.admin.samples import pool, worker
from tests.unit.observe.sights import S, TimedSegment, lookout, news_of

Ask = Callable[..., tuple[int, str]]


def at_work(index: int = 0, late_s: float = 0.0, **fields: Any) -> WorkerRow:
    return worker(index, beat_ns=time.monotonic_ns() - round(late_s * S), **fields)


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    def ask(path: str, segment: TimedSegment, **news: Any) -> tuple[int, str]:
        pages = Pages(lookout(segment, news_of(tmp_path, **news)).look)
        answer = pages.answer(Request("GET", path, {}))
        return answer.status.value, answer.body.decode()

    return ask


def test_one_worker_is_enough(ask: Ask) -> None:
    segment = TimedSegment([pool()], [at_work(0), at_work(1, alive=0)])
    assert ask("/healthz", segment) == (200, "1 of 2 workers live\n")
    assert ask("/readyz", segment) == (200, "1 of 2 workers are at work\n")


def test_no_worker_is_neither_healthy_nor_ready(ask: Ask) -> None:
    segment = TimedSegment([pool()], [at_work(alive=0)])
    assert ask("/healthz", segment) == (503, "no worker lives\n")
    assert ask("/readyz", segment) == (503, "no worker is at work\n")


def test_stuck_worker_lives_but_is_not_ready(ask: Ask) -> None:
    segment = TimedSegment([pool()], [at_work(late_s=STUCK_S + 1)])
    assert ask("/healthz", segment)[0] == 200
    assert ask("/readyz", segment)[0] == 503


def test_draining_is_healthy_but_not_ready(ask: Ask) -> None:
    segment = TimedSegment([pool()], [at_work()])
    assert ask("/healthz", segment, is_draining=True)[0] == 200
    assert ask("/readyz", segment, is_draining=True) == (503, "greenpool is stopping\n")


def test_pool_that_cannot_log_in_is_named_and_no_more(ask: Ask) -> None:
    segment = TimedSegment([pool(), pool(1, user="bob", ailing=1)], [at_work()])
    status, words = ask("/readyz", segment)
    assert status == 200
    assert words.splitlines()[1:] == ['pool "app", user "bob": the last login at PostgreSQL failed']


def test_other_pages_and_methods_are_refused(tmp_path: Path) -> None:
    pages = Pages(lookout(TimedSegment(), news_of(tmp_path)).look)
    assert pages.answer(Request("GET", "/metrics/", {})).status.value == 404
    refused = pages.answer(Request("DELETE", "/metrics", {}))
    assert (refused.status.value, refused.fields["Allow"]) == (405, "GET, HEAD")
