"""What a SHOW returned, as a client of the console has it, laid out for people and for programs."""

from __future__ import annotations

import json

from greenpool.inquiry import Table
from greenpool.protocol.backend import FLOAT8, INT4, INT8, NUMERIC, Column

_NUMBERS = frozenset((INT4, INT8, NUMERIC, FLOAT8))


def render(table: Table) -> str:
    """Lay it out as psql does, with the count of rows."""
    count = len(table.rows)
    return "\n".join([*lines(table), f"({count} row{'' if count == 1 else 's'})"])


def lines(table: Table) -> list[str]:
    """Lay it out as psql does: a header, a line a row, numbers to the right.

    Values carry what clients sent (names of users and applications): characters that a terminal
    would obey are escaped.
    """
    names = [column.name for column in table.columns]
    cells = [[_printable(value or "") for value in row] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    is_number = [column.type in _NUMBERS for column in table.columns]
    header = " | ".join(map(str.center, names, widths)).rstrip()
    rule = "-+-".join("-" * width for width in widths)
    body = (" | ".join(map(_aligned, row, widths, is_number)).rstrip() for row in cells)
    return [header, rule, *body]


def to_json(table: Table) -> str:
    """Write it as a list of objects, one a line; numbers as numbers, NULL as null. ASCII only."""
    return "[" + ",\n ".join(map(json.dumps, records(table))) + "]"


def records(table: Table) -> list[dict[str, str | int | float | None]]:
    """Return the rows as dictionaries, numbers as numbers."""
    return [
        {
            column.name: _typed(column, value)
            for column, value in zip(table.columns, row, strict=True)
        }
        for row in table.rows
    ]


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _aligned(text: str, width: int, is_number: bool) -> str:
    return text.rjust(width) if is_number else text.ljust(width)


def _typed(column: Column, value: str | None) -> str | int | float | None:
    if value is None or column.type not in _NUMBERS:
        return value
    return float(value) if column.type is FLOAT8 else int(value)
