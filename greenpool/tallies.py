"""What auth_query has done, counted by every worker for all of them: the numbers of SHOW AUTH_QUERY
and of a scrape.

    | place 0: writer 0: u64 x count | writer 1 ... | place 1 ...

A place is that of the pool's lookup connections in the segment, a writer a worker, or the master
behind the last of them. Law: each number has one writer and is one aligned word, so nobody needs a
lock; readers add up. A worker that is born goes on with its predecessor's numbers; a generation
that takes over from another begins anew, as its caches do.
"""

from __future__ import annotations

import mmap
from enum import IntEnum
from typing import Self

_WORD_BYTES = 8


class Tally(IntEnum):
    """What is counted; SHOW AUTH_QUERY has the names."""

    CACHE_ENTRIES = 0
    CACHE_HITS = 1
    CACHE_MISSES = 2
    CACHE_REFETCHES = 3
    RATE_LIMITED = 4
    AUTH_SUCCESS = 5
    AUTH_FAILURE = 6
    EXECUTOR_QUERIES = 7
    EXECUTOR_ERRORS = 8
    POOLS_CREATED = 9
    POOLS_DESTROYED = 10
    CACHE_UNKNOWN = 11


class Tallies:
    """The numbers of all pools and writers, in memory that processes forked from here share."""

    __slots__ = ("_words", "_writers")

    def __init__(self, words: memoryview, writers: int) -> None:
        self._words = words
        self._writers = writers

    @classmethod
    def create(cls, pools_max: int, workers: int) -> Self:
        """Map them, sparse. Runs in master, before any fork."""
        writers = workers + 1
        size = pools_max * writers * len(Tally) * _WORD_BYTES
        return cls(memoryview(mmap.mmap(-1, size)).cast("Q"), writers)

    @property
    def master(self) -> int:
        """The master's number among the writers."""
        return self._writers - 1

    def add(self, pool: int, writer: int, tally: Tally, count: int = 1) -> None:
        """Count something. Writer only."""
        self._words[self._at(pool, writer, tally)] += count

    def put(self, pool: int, writer: int, tally: Tally, count: int) -> None:
        """Say how many there are of something. Writer only."""
        self._words[self._at(pool, writer, tally)] = count

    def total(self, pool: int, tally: Tally) -> int:
        """Add up what all writers have counted."""
        return sum(self._words[self._at(pool, writer, tally)] for writer in range(self._writers))

    def _at(self, pool: int, writer: int, tally: Tally) -> int:
        return (pool * self._writers + writer) * len(Tally) + tally
