"""The chronicle through its binding: what one process tells every other can read."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from greenpool.engine import now_ns
from greenpool.segment import Segment


@pytest.fixture
def segment() -> Iterator[Segment]:
    segment = Segment.create(workers=2, pools_max=1, clients_max=2)
    yield segment
    segment.close()


def test_events_are_read_in_their_order(segment: Segment) -> None:
    assert list(segment.chronicle.rows()) == []
    segment.chronicle.add(3, None, "the master tells")
    segment.chronicle.add(4, 1, "worker 1 ü \udcff")
    first, second = segment.chronicle.rows()
    assert (first.number, first.kind, first.worker, first.text) == (1, 3, None, "the master tells")
    assert (second.number, second.kind, second.worker, second.text) == (
        2,
        4,
        1,
        "worker 1 ü \ufffd",
    )
    assert {first.pid, second.pid} == {os.getpid()}
    assert 0 < first.at_ns <= second.at_ns <= now_ns()
    assert [segment.chronicle.count(kind) for kind in (3, 4, 5)] == [1, 1, 0]


def test_a_long_text_is_cut_and_old_events_go(segment: Segment) -> None:
    segment.chronicle.add(0, None, "x" * 10_000)
    [row] = segment.chronicle.rows()
    assert set(row.text) == {"x"}
    assert 400 < len(row.text) < 512
    for _ in range(300):
        segment.chronicle.add(1, 0, "again")
    kept = list(segment.chronicle.rows())
    assert (kept[0].number, kept[-1].number, len(kept)) == (46, 301, 256)
    assert segment.chronicle.count(1) == 300
