"""What all programs of this folder do alike: random queries whose answers are known.

The numbers are the same in every language: more clients than servers, more texts than a server may
hold, and a parameter that is larger than any buffer.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

DSN = os.environ.get("GREENPOOL_DSN", "")
SEED = int(os.environ.get("GREENPOOL_SEED", "1"))

CLIENTS = 12
QUERIES = 150
TEXTS = 40
DISTINCT = 2000
BATCH = 200
BIG = 1 << 20

DIVISION_BY_ZERO = "22012"
SYNTAX_ERROR = "42601"

Answer = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Question:
    """A query whose text depends on `number`, its parameters, and the row that must come back."""

    number: int
    value: int
    word: str

    def text(self, first: str = "%s", second: str = "%s") -> str:
        """Return the SQL; the arguments are how the driver writes its parameters."""
        number = self.number
        return f"select cast({first} as int) + {number}, cast({second} as text) || '-{number}'"

    @property
    def parameters(self) -> tuple[int, str]:
        return self.value, self.word

    @property
    def answer(self) -> Answer:
        return self.value + self.number, f"{self.word}-{self.number}"


def question(rng: random.Random, number: int | None = None) -> Question:
    """Draw a question; its text is one of TEXTS unless `number` says which one it is."""
    chosen = rng.randrange(TEXTS) if number is None else number
    return Question(chosen, rng.randrange(-1000, 1000), f"w{rng.randrange(1_000_000)}")


def expect(got: object, wanted: object) -> None:
    """Fail unless both are equal (assert would go away with -O)."""
    if got != wanted:
        raise AssertionError(f"{str(got)[:300]} is not {str(wanted)[:300]}")


def in_threads(work: Callable[[random.Random], None]) -> None:
    """Run `work` in CLIENTS threads at a time, each with random numbers of its own."""
    failures: list[BaseException] = []

    def run(client: int) -> None:
        try:
            work(random.Random(SEED * 1000 + client))
        except BaseException as exc:  # shown when all have ended
            failures.append(exc)

    threads = [threading.Thread(target=run, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def play(*scenes: Callable[[], None]) -> None:
    """Play the scenes in order and name each that went well."""
    for scene in scenes:
        print(scene.__name__, "...", flush=True)
        scene()
    print("done", flush=True)
