"""The figures as a picture: one SVG file, drawn by hand, no library.

    select-x, simple            select-x, prepared     ...   a column for each scenario and mode
    +---------------------+     +---------------------+
    |  tps                |     |  tps                |      a row for each figure
    +---------------------+     +---------------------+
    |  CPU us/tx          |     ...                          x: clients, in equal steps
    +---------------------+                                  one line for each contender

Cases that differ in the number of clients alone share a panel; copies have none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.figures import Line, Spread
from benchmarks.plan import Case

Measured = Mapping[Case, Sequence[Line]]

_WIDTH, _HEIGHT = 300, 190
_LEFT, _TOP, _RIGHT, _BOTTOM = 52, 26, 12, 30
_HEAD = 70
_COLOURS = ("#888888", "#d95f02", "#1b9e77", "#004d40", "#7570b3", "#e7298a")


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one figure that is drawn."""

    title: str
    pick: Callable[[Line], Spread | None]


_ROWS = (
    Row("transactions a second", lambda line: line.per_s),
    Row("CPU of the pooler, us a transaction", lambda line: line.cpu_us),
    Row("latency p99, ms", lambda line: line.p99_ms),
)

_Points = dict[str, dict[int, float]]
"""By contender: the figure at each number of clients."""


def draw(measured: Measured, title: str) -> str:
    """Return the text of an SVG file; `title` may have several lines."""
    groups = _group(measured)
    contenders = list(
        dict.fromkeys(line.contender for lines in measured.values() for line in lines)
    )
    colours = dict(zip(contenders, _COLOURS * len(contenders), strict=False))
    parts = [*_head(title, colours)]
    for column, (name, cases) in enumerate(groups.items()):
        for row, each in enumerate(_ROWS):
            parts.append(f'<g transform="translate({column * _WIDTH},{_HEAD + row * _HEIGHT})">')
            heading = name if row == 0 else ""
            parts += _panel(heading, each.title, _points(cases, each), colours)
            parts.append("</g>")
    width, height = max(2, len(groups)) * _WIDTH, _HEAD + len(_ROWS) * _HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="10">\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _group(measured: Measured) -> dict[str, dict[int, Sequence[Line]]]:
    """Put together what differs in the number of clients alone."""
    groups: dict[str, dict[int, Sequence[Line]]] = {}
    for case, lines in measured.items():
        if not case.scenario.is_copy:
            name = f"{case.scenario.value}, {case.mode.value}"
            groups.setdefault(name, {})[case.clients] = lines
    return groups


def _points(cases: Mapping[int, Sequence[Line]], row: Row) -> _Points:
    found: _Points = {}
    for clients, lines in cases.items():
        for line in lines:
            value = row.pick(line)
            if value is not None:
                found.setdefault(line.contender, {})[clients] = value.median
    return found


def _head(title: str, colours: Mapping[str, str]) -> Iterable[str]:
    for number, line in enumerate(title.splitlines()):
        yield f'<text x="8" y="{14 + 12 * number}">{escape(line)}</text>'
    for number, (contender, colour) in enumerate(colours.items()):
        x = 8 + 110 * number
        yield f'<line x1="{x}" x2="{x + 18}" y1="60" y2="60" stroke="{colour}" stroke-width="3"/>'
        yield f'<text x="{x + 22}" y="64">{escape(contender)}</text>'


def _panel(heading: str, title: str, points: _Points, colours: Mapping[str, str]) -> Iterable[str]:
    """Draw the axes with their numbers, then a line for each contender."""
    clients = sorted({each for line in points.values() for each in line})
    top = nice_top(max((value for line in points.values() for value in line.values()), default=0))
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    yield f'<text x="{_LEFT}" y="8" font-weight="bold">{escape(heading)}</text>'
    yield f'<text x="{_LEFT}" y="{_TOP - 6}">{escape(title)}</text>'
    for step in range(5):
        y, value = bottom - (bottom - _TOP) * step / 4, top * step / 4
        yield f'<line x1="{_LEFT}" x2="{right}" y1="{y:g}" y2="{y:g}" stroke="#dddddd"/>'
        yield f'<text x="{_LEFT - 4}" y="{y + 3:g}" text-anchor="end">{value:,g}</text>'
    for count in clients:
        x = _x(clients, count)
        yield f'<text x="{x:g}" y="{bottom + 14}" text-anchor="middle">{count}</text>'
    for contender, line in points.items():
        places = [
            f"{_x(clients, count):g},{bottom - (bottom - _TOP) * value / top:.1f}"
            for count, value in sorted(line.items())
        ]
        colour = colours[contender]
        path = f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}"'
        yield f'{path} stroke-width="2"/>'
        for place in places:
            yield f'<circle r="2.5" fill="{colour}" transform="translate({place})"/>'


def _x(clients: Sequence[int], count: int) -> float:
    """Return the place of a number of clients: equal steps, whatever lies between them."""
    room = _WIDTH - _LEFT - _RIGHT
    return _LEFT + room * (clients.index(count) + 0.5) / len(clients)


def nice_top(value: float) -> float:
    """Return the least of 1, 2, 4, 6, 8 times a power of ten that is not below `value`."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value * 0.999999)
