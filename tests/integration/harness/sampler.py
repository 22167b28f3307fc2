"""Look at a figure again and again in a thread of its own, and keep the largest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.integration.harness.postgres import PostgreSQL

_PERIOD_S = 0.002


class Sampler:
    """Call `look` every 2 ms until it is stopped. `most` is the largest value it gave."""

    def __init__(self, look: Callable[[], int]) -> None:
        self.most = look()
        self.samples = 1
        self._look = look
        self._failure: BaseException | None = None
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ending.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._is_ending.wait(_PERIOD_S):
                self.most = max(self.most, self._look())
                self.samples += 1
        except Exception as exc:  # told to the test when it ends the sampler
            self._failure = exc


@contextmanager
def backends_sampled(pg: PostgreSQL, user: str = "app") -> Iterator[Sampler]:
    """Count the backends of a user throughout the block."""
    count = "select count(*)::int from pg_stat_activity where usename = %s"
    with pg.connect() as connection:

        def look() -> int:
            row = connection.execute(count, [user]).fetchone()
            assert row is not None
            number: int = row[0]
            return number

        with Sampler(look) as sampler:
            yield sampler
