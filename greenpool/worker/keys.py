"""PBKDF2 off the hub: `derive_keys` on gevent's thread pool, its results remembered.

A server login with a plain password costs two milliseconds of a core the first time and nothing
after that, because PostgreSQL shows every login of a user the same salt. What is remembered is told
by a hash of the password: clients send theirs in the clear where a rule says `password`, and none
of those stays in memory.
"""

from __future__ import annotations

import hashlib
import os

from gevent.threadpool import ThreadPool

from greenpool.auth.secret import ScramKeys, derive_keys

CAPACITY = 4096
"""Derived keys kept; the oldest goes first. One for each password and salt in use is enough."""


class KeyCache:
    """Callable wherever `auth` asks for a `Derive`. Switches: yes, unless the keys are known."""

    __slots__ = ("_capacity", "_key", "_known", "_threads")

    def __init__(self, threads: ThreadPool, capacity: int = CAPACITY) -> None:
        self._threads = threads
        self._capacity = capacity
        self._key = os.urandom(32)
        self._known: dict[bytes, ScramKeys] = {}

    def __call__(self, password: str, salt: bytes, iterations: int) -> ScramKeys:
        words = repr((password, salt, iterations)).encode("utf-8", "surrogatepass")
        name = hashlib.blake2b(words, key=self._key, digest_size=32).digest()
        keys = self._known.get(name)
        if keys is None:
            keys = self._threads.apply(derive_keys, (password, salt, iterations))
            if len(self._known) >= self._capacity:
                del self._known[next(iter(self._known))]
            self._known[name] = keys
        return keys
