"""The pools as this worker knows them: configuration, secrets, what servers said at login.

A pool's numbers (servers, waiters, limits) are in the shared segment; here is what only Python
needs. Law: `PoolDirectory.apply` is the one mutator of the directory; an entry whose
configuration changed is replaced, so whoever holds an old one sees a consistent past.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gevent.event import AsyncResult

from greenpool.auth.secret import (
    Credential,
    Derive,
    Md5Hash,
    PlainPassword,
    ScramKeys,
    Secret,
    prepare_secret,
)
from greenpool.config import Config, Pool, User
from greenpool.worker.backoff import Backoff
from greenpool.worker.context import PoolKey
from greenpool.worker.startup_state import StateCache

NEWS_S = 1.0
"""How often the same failure of one pool is logged at most."""

_MD5_HASH = re.compile("md5[0-9a-f]{32}")
_SCRAM_PREFIX = "SCRAM-SHA-256$"


class PoolEntry:
    """One pool: a database as clients name it, and a user.

    `parameters` are what a fresh server of this pool reports, None until one has; `asking` stands
    while somebody asks. `credential` is what logs in at PostgreSQL: from the configuration, or
    proved by a client (`pass_on`), or None: nothing, or nothing yet (`is_locked`).
    """

    __slots__ = (
        "_news",
        "_secret",
        "asking",
        "backoff",
        "credential",
        "index",
        "parameters",
        "pool",
        "states",
        "user",
    )

    def __init__(self, index: int, pool: Pool, user: User) -> None:
        self.index = index
        self.pool = pool
        self.user = user
        self.credential = _configured_credential(user)
        self.parameters: Mapping[str, str] | None = None
        self.asking: AsyncResult | None = None
        self.states = StateCache()
        self.backoff = Backoff()
        self._secret: Secret | None = None
        self._news = ("", 0.0)

    @property
    def key(self) -> PoolKey:
        """The pool's name."""
        return self.pool.name, self.user.username

    @property
    def server_user(self) -> str:
        """The user that servers are logged in as."""
        return self.user.server_username or self.user.username

    @property
    def is_trusting(self) -> bool:
        """Whether clients are asked for nothing."""
        return self.user.password is None

    @property
    def is_locked(self) -> bool:
        """Whether no server can be opened until a client has shown its SCRAM keys here."""
        return self.credential is None and not self.is_trusting

    def secret(self, mock_key: bytes, derive: Derive) -> Secret | None:
        """Return what verifies clients, None if nothing does. Switches: if `derive` does."""
        password = self.user.password
        if self._secret is None and password is not None:
            self._secret = prepare_secret(password, self.user.username, mock_key, derive)
        return self._secret

    def pass_on(self, credential: Credential | None) -> None:
        """Keep the SCRAM keys that a client has proved, for logins at PostgreSQL."""
        if isinstance(credential, ScramKeys) and self.user.server_password is None:
            self.credential = credential

    def learn(self, parameters: Mapping[str, str]) -> None:
        """Keep what a fresh server reports; what was concluded from anything else is forgotten."""
        if parameters != self.parameters:
            self.parameters = parameters
            self.states = StateCache()

    def inherit(self, old: PoolEntry) -> None:
        """Take over what a client proved to `old`, if it would prove the same now."""
        if old.user.password == self.user.password:
            self.pass_on(old.credential)

    def is_news(self, failure: str, now_s: float) -> bool:
        """Whether a failure is worth a line in the log: the same one once a second."""
        last, last_s = self._news
        if failure == last and now_s - last_s < NEWS_S:
            return False
        self._news = (failure, now_s)
        return True

    def __str__(self) -> str:
        return f"{self.user.username}@{self.pool.name}"


class PoolDirectory:
    """All pools of the configuration, found by name, by index, or by user alone."""

    __slots__ = ("_by_index", "_by_key", "_by_user")

    def __init__(self) -> None:
        self._by_key: dict[PoolKey, PoolEntry] = {}
        self._by_index: dict[int, PoolEntry] = {}
        self._by_user: dict[str, PoolEntry] = {}

    def __iter__(self) -> Iterator[PoolEntry]:
        return iter(tuple(self._by_key.values()))

    def find(self, database: str, user: str) -> PoolEntry | None:
        """Return the pool that a client asks for."""
        return self._by_key.get((database, user))

    def at(self, index: int) -> PoolEntry | None:
        """Return the pool at a place of the segment; None after a reload took it away."""
        return self._by_index.get(index)

    def of_user(self, user: str) -> PoolEntry | None:
        """Return some pool of a user, who is then known whatever database was asked for."""
        return self._by_user.get(user)

    def has_database(self, database: str) -> bool:
        """Whether any user has a pool for that database."""
        return any(name == database for name, _ in self._by_key)

    def apply(self, config: Config, indices: Mapping[PoolKey, int]) -> list[PoolEntry]:
        """Serve this configuration from now on; return the entries whose pool is no more."""
        before = self._by_key
        self._by_key = {}
        for pool in config.pools.values():
            for user in pool.users.values():
                key = (pool.name, user.username)
                self._by_key[key] = _renewed(before.get(key), indices[key], pool, user)
        self._by_index = {entry.index: entry for entry in self}
        self._by_user = {entry.user.username: entry for entry in reversed(tuple(self))}
        return [entry for key, entry in before.items() if key not in self._by_key]


def _renewed(old: PoolEntry | None, index: int, pool: Pool, user: User) -> PoolEntry:
    """Keep an entry whose configuration is the same, with all that it learned."""
    if old is not None and (old.index, old.pool, old.user) == (index, pool, user):
        return old
    entry = PoolEntry(index, pool, user)
    if old is not None:
        entry.inherit(old)
    return entry


def _configured_credential(user: User) -> Credential | None:
    """Return what the configuration alone can log in with."""
    if user.server_password is not None:
        return _credential_of(user.server_password)
    if user.password is None or user.password.startswith(_SCRAM_PREFIX):
        return None
    return _credential_of(user.password)


def _credential_of(password: str) -> Credential:
    return Md5Hash(password) if _MD5_HASH.fullmatch(password) else PlainPassword(password)
