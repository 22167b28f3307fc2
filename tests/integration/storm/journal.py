"""What a storm did and when, so that whoever fails can be asked what happened then."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.integration.harness.pooler import Pooler
from tests.integration.storm.client import Client

_LINES_MAX = 20


@dataclass(slots=True)
class _Step:
    what: str
    began: float
    ended: float = float("inf")


class Journal:
    """Know the steps, in order."""

    def __init__(self, pooler: Pooler) -> None:
        self._pooler = pooler
        self._steps: list[_Step] = []

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        step = _Step(what, time.monotonic())
        self._steps.append(step)
        yield
        step.ended = time.monotonic()

    def tell_failures(self, clients: Iterable[Client]) -> str:
        """Say of each that has failed when that was, and what the log has about it."""
        found = [
            f"{each.kind} from port {each.port}, after {each.turns} turns, "
            f"{self._when(each.failed_at)}: {each.failure}\n{self._log_about(each)}"
            for each in clients
        ]
        return f"{len(found)} clients have failed:\n" + "\n".join(found)

    def tell_pauses(self, clients: Iterable[Client]) -> str:
        """Say of each how long its slowest turn was, and when."""
        return "\n".join(
            f"{each.kind} from port {each.port}: {each.slowest_s:.3f} s, "
            f"{self._when(each.slowest_at)}"
            for each in clients
        )

    def _when(self, at: float) -> str:
        for step in reversed(self._steps):
            if step.began <= at:
                relation = "into" if at <= step.ended else "after"
                since = step.began if at <= step.ended else step.ended
                return f"{at - since:.3f} s {relation} {step.what}"
        return "before all"

    def _log_about(self, client: Client) -> str:
        lines = self._pooler.log().splitlines()
        own = [each for each in lines if f":{client.port}" in each]
        return "\n".join(f"    {each}" for each in own[-_LINES_MAX:])
