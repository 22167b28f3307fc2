"""The figures as text, to be read on a terminal and pasted into a message."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.figures import Line, Spread
from benchmarks.plan import Case

_HEADINGS = ("", "tps", "mean ms", "p99 ms", "CPU us/tx", "x tps", "x mean", "x CPU")
_WIDTHS = (14, 14, 14, 14, 13, 12, 12, 12)


def legend() -> str:
    return (
        "Each figure: the median of the rounds, and half their range in %. The last three columns\n"
        "are ratios to PgBouncer in the same round. CPU: all processes of the pooler, per\n"
        "transaction."
    )


def render(case: Case, lines: Iterable[Line]) -> str:
    """Draw one case: its title, then a line for each contender."""
    head = "".join(_right(text, at) for at, text in enumerate(_HEADINGS))
    return "\n".join([case.title, head, *(_render_line(line) for line in lines)])


def _render_line(line: Line) -> str:
    cells = [
        line.contender,
        _spread(line.tps, ",.0f"),
        _spread(line.mean_ms, ".3f"),
        _spread(line.p99_ms, ".3f"),
        _spread(line.cpu_us, ".1f"),
        _spread(line.tps_ratio, ".2f"),
        _spread(line.mean_ratio, ".2f"),
        _spread(line.cpu_ratio, ".2f"),
    ]
    return "".join(_right(text, at) for at, text in enumerate(cells))


def _right(text: str, column: int) -> str:
    width = _WIDTHS[column]
    return f"  {text:<{width}}" if column == 0 else f"{text:>{width}}"


def _spread(value: Spread | None, form: str) -> str:
    if value is None:
        return "-"
    return f"{value.median:{form}} ±{100 * value.share:2.0f}%"
