"""The figures as text, to be read on a terminal and pasted into a message."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.figures import Line, Spread
from benchmarks.plan import Case

_NAME_WIDTH = 22
_WIDTH = 14


@dataclass(frozen=True, slots=True)
class Column:
    """Hold a heading, where its figures are, and how they are written."""

    heading: str
    pick: Callable[[Line], Spread | None]
    form: str


def legend() -> str:
    return (
        "Each figure: the median of the rounds, and half their range in %. The last columns are\n"
        "ratios to PgBouncer in the same round. CPU: all processes of the pooler, per transaction\n"
        "or megabyte. cores/10k: the same for 10,000 transactions a second. added: to the mean\n"
        "latency of the server without a pooler."
    )


def render(case: Case, lines: Iterable[Line]) -> str:
    """Draw one case: its title, then a line for each contender."""
    columns = _columns(case)
    head = "".join(f"{each.heading:>{_WIDTH}}" for each in columns)
    drawn = [case.title, f"  {'':<{_NAME_WIDTH}}{head}"]
    for line in lines:
        cells = "".join(f"{_spread(each.pick(line), each.form):>{_WIDTH}}" for each in columns)
        note = f"  {line.unanswered:,} unanswered" if line.unanswered else ""
        drawn.append(f"  {line.contender:<{_NAME_WIDTH}}{cells}{note}")
    return "\n".join(drawn)


def _columns(case: Case) -> list[Column]:
    if case.scenario.is_copy:
        return [
            Column("MB/s", lambda line: line.per_s, ",.0f"),
            Column("CPU us/MB", lambda line: line.cpu_us, ",.0f"),
            Column("MB more", lambda line: line.grown_mb, ".1f"),
            Column("x MB/s", lambda line: line.per_s_ratio, ".2f"),
            Column("x CPU", lambda line: line.cpu_ratio, ".2f"),
        ]
    return [
        Column("tps", lambda line: line.per_s, ",.0f"),
        Column("mean ms", lambda line: line.mean_ms, ".3f"),
        Column("p50 ms", lambda line: line.p50_ms, ".3f"),
        Column("p99 ms", lambda line: line.p99_ms, ".3f"),
        Column("p99.9 ms", lambda line: line.p999_ms, ".3f"),
        Column("added us", lambda line: line.added_us, ".0f"),
        Column("CPU us/tx", lambda line: line.cpu_us, ".1f"),
        Column("cores/10k", lambda line: line.cores, ".3f"),
        Column("x tps", lambda line: line.per_s_ratio, ".2f"),
        Column("x mean", lambda line: line.mean_ratio, ".2f"),
        Column("x CPU", lambda line: line.cpu_ratio, ".2f"),
    ]


def _spread(value: Spread | None, form: str) -> str:
    if value is None:
        return "-"
    return f"{value.median:{form}} ±{100 * value.share:2.0f}%"
