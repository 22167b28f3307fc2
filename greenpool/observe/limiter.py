"""So many lines of one kind in so much time; what is too much is counted. Pure: time is given."""

from __future__ import annotations

from dataclasses import dataclass

LINES = 20
PERIOD_S = 10.0


@dataclass(slots=True)
class _Period:
    began_s: float
    lines: int = 0
    withheld: int = 0


class Limiter:
    """Tell which lines may be written; kinds are few."""

    __slots__ = ("_periods",)

    def __init__(self) -> None:
        self._periods: dict[str, _Period] = {}

    def admits(self, kind: str, now_s: float) -> bool:
        """Whether another line of this kind may be written now; counts it either way."""
        period = self._periods.setdefault(kind, _Period(now_s))
        if now_s - period.began_s >= PERIOD_S and not period.withheld:
            period = self._periods[kind] = _Period(now_s)
        if period.lines < LINES:
            period.lines += 1
            return True
        period.withheld += 1
        return False

    def take_withheld(self, now_s: float) -> dict[str, int]:
        """Return how many were withheld in the periods that are over, which begin anew."""
        over = {
            kind: period.withheld
            for kind, period in self._periods.items()
            if period.withheld and now_s - period.began_s >= PERIOD_S
        }
        for kind in over:
            self._periods[kind] = _Period(now_s)
        return over
