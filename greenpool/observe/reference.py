"""The reference of all metrics, written out of the table into docs/metrics.md.

    python -m greenpool.observe.reference docs/metrics.md

writes anew what stands between the marks; a test holds the file against the table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from greenpool.observe.document import Part
from greenpool.observe.families import CLIENT_REASONS, FAMILIES, SERVER_REASONS
from greenpool.observe.times import BOUNDS_S


def _lines() -> Iterator[str]:
    yield ""
    yield "| Name | Type | Labels | Meaning |"
    yield "|---|---|---|---|"
    for family in FAMILIES:
        labels = ", ".join(family.labels)
        yield f"| `{family.name}` | {family.kind.value} | {labels} | {family.doc} |"
    yield ""
    yield "Bounds (`le`) of the histograms, in seconds: " + _list(f"{b:g}" for b in BOUNDS_S)
    yield ""
    yield "Reasons (`reason`) of `greenpool_client_disconnections_total`: " + _list(
        reason.name.lower() for reason in CLIENT_REASONS
    )
    yield ""
    yield "Reasons of `greenpool_server_disconnections_total`: " + _list(
        reason.name.lower() for reason in SERVER_REASONS
    )
    yield ""


def _list(words: Iterator[str]) -> str:
    return ", ".join(f"`{word}`" for word in words) + "."


PART = Part("families", _lines)


if __name__ == "__main__":
    PART.rewrite(Path(sys.argv[1]))
