"""A picture -> lines of text, for a screen and for a pipe; and -> JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

from greenpool.admin.table import lines, records
from greenpool.top.picture import Picture


def text(picture: Picture) -> Iterator[str]:
    """Yield every line."""
    yield picture.summary
    for table in picture.tables.values():
        yield ""
        yield from lines(table)


def to_json(picture: Picture) -> str:
    """Write it as one object in one line."""
    return json.dumps({title: records(table) for title, table in picture.tables.items()})
