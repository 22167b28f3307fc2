"""What a metric family is, and what it is told of: a subject, of which there are rows in a scene.

    POOLS.family(..., lambda row: row.logins)                      a sample for each row
    POOLS.parts(..., "state", lambda row: {"idle": row.sv_idle})    one for each part of a row
    POOLS.info(..., ("pool_mode",), lambda row: ("session",))       1, with words as labels

Partner: `families`, which has them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from greenpool.observe.scene import Scene
from greenpool.observe.times import Rungs

Row = TypeVar("Row")
Value = float | Rungs
Samples = Iterable[tuple[tuple[str, ...], Value]]


class Kind(Enum):
    """What a family is, in Prometheus's words."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One family: its name, its sentence, its labels, and what makes its samples."""

    name: str
    kind: Kind
    doc: str
    labels: tuple[str, ...]
    samples: Callable[[Scene], Samples]


@dataclass(frozen=True, slots=True)
class Subject(Generic[Row]):
    """What there are several of: how they are told apart, and where they stand in a scene."""

    labels: tuple[str, ...]
    rows: Callable[[Scene], Iterable[Row]]
    names: Callable[[Row], tuple[str, ...]]

    def seen(self, name: str, kind: Kind, doc: str, value: Callable[[Row, Scene], Value]) -> Family:
        """Make a family of what a row and the rest of the scene say together."""
        return Family(
            *(name, kind, doc, self.labels),
            lambda scene: ((self.names(row), value(row, scene)) for row in self.rows(scene)),
        )

    def family(self, name: str, kind: Kind, doc: str, value: Callable[[Row], Value]) -> Family:
        """Make a family with a sample for each row."""
        return self.seen(name, kind, doc, lambda row, _: value(row))

    def parts(
        self, name: str, kind: Kind, doc: str, label: str, of: Callable[[Row], Mapping[str, float]]
    ) -> Family:
        """Make a family with a sample for each named part of a row: a state, a reason, a source."""
        return Family(
            *(name, kind, doc, (*self.labels, label)),
            lambda scene: (
                ((*self.names(row), part), value)
                for row in self.rows(scene)
                for part, value in of(row).items()
            ),
        )

    def info(
        self, name: str, doc: str, labels: tuple[str, ...], words: Callable[[Row], tuple[str, ...]]
    ) -> Family:
        """Make a family that is always 1: its further labels tell something in words."""
        return Family(
            *(name, Kind.GAUGE, doc, (*self.labels, *labels)),
            lambda scene: (((*self.names(row), *words(row)), 1) for row in self.rows(scene)),
        )
