"""The reference of all events, written out of the table into docs/logs.md.

    python -m greenpool.observe.log_reference docs/logs.md

writes anew what stands between the marks; a test holds the file against the table.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from greenpool.observe.document import Part
from greenpool.observe.events import EVENTS


def _lines() -> Iterator[str]:
    yield ""
    yield "| Event | Level | Text | Fields | Meaning |"
    yield "|---|---|---|---|---|"
    for event in EVENTS:
        level = logging.getLevelName(event.level).lower()
        text = event.words.replace("|", "\\|")
        fields = ", ".join(f"`{name}`" for name in event.fields)
        name = f"`{event.name}`" + (" *" if event.kept is not None else "")
        yield f"| {name} | {level} | {text} | {fields} | {event.doc} |"
    yield ""


PART = Part("events", _lines)


if __name__ == "__main__":
    PART.rewrite(Path(sys.argv[1]))
