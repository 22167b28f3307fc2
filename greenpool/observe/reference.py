"""The reference of all metrics, written out of the table into docs/metrics.md.

    python -m greenpool.observe.reference docs/metrics.md

writes anew what stands between the marks; a test holds the file against the table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from greenpool.observe.families import CLIENT_REASONS, FAMILIES, SERVER_REASONS
from greenpool.observe.times import BOUNDS_S

BEGIN = "<!-- families: begin -->\n"
END = "<!-- families: end -->\n"


def families() -> str:
    """Return the families as Markdown."""
    return "\n".join(_lines()) + "\n"


def with_families(text: str) -> str:
    """Return the document with the families of now between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN.strip()} ... {END.strip()}")
    return f"{before}{begin}{families()}{end}{after}"


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


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(with_families(document.read_text()))
