"""From the table of families to what prometheus-client exposes, anew at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from greenpool.observe.families import FAMILIES
from greenpool.observe.family import Family, Kind
from greenpool.observe.scene import Scene
from greenpool.observe.times import BOUNDS_S, Rungs

_LES = (*(format(each, "g") for each in BOUNDS_S), "+Inf")


class SceneCollector(Collector):
    """Look once, then make every family of the table from what was seen."""

    def __init__(self, look: Callable[[], Scene]) -> None:
        self._look = look

    def collect(self) -> Iterator[Metric]:
        scene = self._look()
        for family in FAMILIES:
            yield _metric(family, scene)


def _metric(family: Family, scene: Scene) -> Metric:
    if family.kind is Kind.HISTOGRAM:
        return _histogram(family, scene)
    cls = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    metric = cls(family.name, family.doc, labels=family.labels)
    for labels, value in family.samples(scene):
        assert not isinstance(value, Rungs)
        metric.add_metric([_readable(each) for each in labels], float(value))
    return metric


def _histogram(family: Family, scene: Scene) -> Metric:
    metric = HistogramMetricFamily(family.name, family.doc, labels=family.labels)
    for labels, rungs in family.samples(scene):
        assert isinstance(rungs, Rungs)
        buckets = list(zip(_LES, map(float, (*rungs.under, rungs.count)), strict=True))
        metric.add_metric([_readable(each) for each in labels], buckets, rungs.sum_s)
    return metric


def _readable(label: str) -> str:
    """Make valid UTF-8 of a name that clients may have sent."""
    return label.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
