"""What a greenpool's observer says, asked as Prometheus and a load balancer ask it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from prometheus_client.parser import text_string_to_metric_families

from tests.integration.harness.pooler import Pooler

Sample = tuple[str, dict[str, str], float]


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold one answer, wholly read; the names of `fields` are in lower case."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def get(pooler: Pooler, path: str, method: str = "GET", **fields: str) -> Answer:
    """Ask the observer."""
    connection = HTTPConnection(pooler.host, pooler.web_port, timeout=10)
    try:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()


def is_served(pooler: Pooler, path: str = "/metrics") -> bool:
    """Say whether the observer answers with 200."""
    try:
        return get(pooler, path).status == 200
    except (OSError, HTTPException):
        return False


@dataclass(frozen=True, slots=True)
class Scrape:
    """Hold the samples of one scrape."""

    samples: tuple[Sample, ...]

    @classmethod
    def of(cls, text: str) -> Scrape:
        return cls(tuple(_samples(text)))

    def value(self, name: str, **labels: str) -> float:
        """Return the one sample of that name with these labels, maybe among others."""
        (value,) = self.values(name, **labels)
        return value

    def values(self, name: str, **labels: str) -> list[float]:
        return [
            value
            for each, has, value in self.samples
            if each == name and labels.items() <= has.items()
        ]

    def names(self) -> set[str]:
        return {name for name, _, _ in self.samples}


def scrape(pooler: Pooler) -> Scrape:
    """Scrape once."""
    answer = get(pooler, "/metrics")
    assert answer.status == 200, answer.text
    return Scrape.of(answer.text)


def _samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, dict(sample.labels), sample.value
