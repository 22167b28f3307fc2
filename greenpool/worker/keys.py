"""PBKDF2 off the hub: `derive_keys` on gevent's thread pool, its results remembered.

A server login with a plain password costs two milliseconds of a core the first time and nothing
after that, because PostgreSQL shows every login of a user the same salt.
"""

from __future__ import annotations

from gevent.threadpool import ThreadPool

from greenpool.auth.secret import ScramKeys, derive_keys

CAPACITY = 4096
"""Derived keys kept; the oldest goes first. One for each password and salt in use is enough."""


class KeyCache:
    """Callable wherever `auth` asks for a `Derive`. Switches: yes, unless the keys are known."""

    __slots__ = ("_capacity", "_known", "_threads")

    def __init__(self, threads: ThreadPool, capacity: int = CAPACITY) -> None:
        self._threads = threads
        self._capacity = capacity
        self._known: dict[tuple[str, bytes, int], ScramKeys] = {}

    def __call__(self, password: str, salt: bytes, iterations: int) -> ScramKeys:
        name = (password, salt, iterations)
        keys = self._known.get(name)
        if keys is None:
            keys = self._threads.apply(derive_keys, name)
            if len(self._known) >= self._capacity:
                del self._known[next(iter(self._known))]
            self._known[name] = keys
        return keys
