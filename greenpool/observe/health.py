"""Whether greenpool lives, and whether clients should come: /healthz and /readyz.

    lives   the master runs (the observer ends with it) and at least one worker does
    ready   it is not being stopped, and at least one worker has been at work within STUCK_S

A pool whose servers cannot be opened makes greenpool neither dead nor unready: it serves the other
pools, its clients are told what PostgreSQL says, and another greenpool in front of the same
PostgreSQL would do no better. The answer of /readyz names such pools all the same, and
`greenpool_pool_login_failing` tells them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from greenpool.observe.scene import Scene

STUCK_S = 5.0
"""A worker looks around ten times a second; one that has not for so long serves nobody."""

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer, and the words for it."""

    is_good: bool
    words: str


def lives(scene: Scene) -> Verdict:
    """Say whether greenpool lives."""
    alive = sum(1 for row in scene.workers if row.alive)
    if not alive:
        return Verdict(False, "no worker lives\n")
    return Verdict(True, f"{alive} of {len(scene.workers)} workers live\n")


def is_ready(scene: Scene) -> Verdict:
    """Say whether clients should come here."""
    if scene.news.is_draining:
        return Verdict(False, "greenpool is stopping\n")
    at_work = sum(
        1 for row in scene.workers if row.alive and scene.now_ns - row.beat_ns < STUCK_S * _NS_PER_S
    )
    if not at_work:
        return Verdict(False, "no worker is at work\n")
    words = f"{at_work} of {len(scene.workers)} workers are at work\n"
    return Verdict(True, "".join([words, *_ailing(scene)]))


def _ailing(scene: Scene) -> Iterator[str]:
    for row in scene.pools:
        if row.ailing:
            yield f'pool "{row.database}", user "{row.user}": the last login at PostgreSQL failed\n'
