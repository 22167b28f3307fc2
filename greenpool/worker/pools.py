"""The pools as this worker knows them: configuration, secrets, what servers said at login.

A pool's numbers (servers, waiters, limits) are in the shared segment; here is what only Python
needs. What one worker learns (what servers report, which keys a client proved) all others know:
it goes through the pool's notes (`notes.py`), which are looked at whenever it is asked for.
Law: `PoolDirectory.apply` is the one mutator of the directory; an entry whose configuration
changed is replaced, so whoever holds an old one sees a consistent past.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from gevent.event import AsyncResult

from greenpool.auth.secret import (
    KEY_BYTES,
    Credential,
    Derive,
    Md5Hash,
    PlainPassword,
    ScramKeys,
    Secret,
    prepare_secret,
)
from greenpool.config import (
    LOOKUP_USER,
    TEMPLATE,
    Config,
    Kind,
    Member,
    Pool,
    PoolKey,
    User,
    guest_member,
    members,
)
from greenpool.protocol.frontend import PROTOCOL_3_2
from greenpool.protocol.message import cstring, decode_text
from greenpool.records import NoteKind
from greenpool.worker.notes import NoteBoard
from greenpool.worker.password_source import source_of
from greenpool.worker.startup_state import SessionState, StateCache
from greenpool.worker.suspects_question import Suspects

NEWS_S = 1.0
"""How often the same failure of one pool is logged at most."""

_MD5_HASH = re.compile("md5[0-9a-f]{32}")
_SCRAM_PREFIX = "SCRAM-SHA-256$"


class News:
    """Which failures are worth a line in the log: the same one once in NEWS_S."""

    __slots__ = ("_last", "_last_s")

    def __init__(self) -> None:
        self._last = ""
        self._last_s = 0.0

    def has(self, failure: str, now_s: float) -> bool:
        """Say whether this failure is worth a line."""
        if failure == self._last and now_s - self._last_s < NEWS_S:
            return False
        self._last, self._last_s = failure, now_s
        return True


class CheckState(Enum):
    """What this worker knows of the answer to `pooler_check_query`: see `check_query.py`."""

    NEW = auto()
    UNKNOWN = auto()
    ASKED = auto()
    KNOWN = auto()


@dataclass(slots=True)
class Search:
    """What this worker knows of its search for suspects: see `suspects.py`."""

    is_running: bool = False
    is_slow: bool = False
    """It took a login too long: logins go on without it."""
    took_s: float = 0.0
    found: Suspects | None = None


class Verifier:
    """What verifies the clients of one user of the configuration, made when it is asked for."""

    __slots__ = ("_iterations", "_secret", "user")

    def __init__(self, user: User) -> None:
        self.user = user
        self._iterations = 0  # of the secret
        self._secret: Secret | None = None

    def secret(self, mock_key: bytes, derive: Derive, iterations: int) -> Secret | None:
        """Return what verifies clients, None if nothing does. Switches: if `derive` does."""
        password, name = self.user.password, self.user.username
        if isinstance(password, str) and self._iterations != iterations:
            self._secret = prepare_secret(password, name, mock_key, derive, iterations)
            self._iterations = iterations
        return self._secret


class PoolEntry:
    """One pool: a database as clients name it, and a user.

    `asking` stands while somebody asks a server for the parameters; `version` is the protocol that
    its servers are asked for; `passwords` is set where these may change; `check` belongs to
    `check_query.py`, `search` to `suspects.py`.
    """

    __slots__ = (
        "_credential",
        "_is_passing_on",
        "_keys_note",
        "_parameters",
        "_states",
        "_welcome_note",
        "asking",
        "check",
        "index",
        "kind",
        "news",
        "passwords",
        "pool",
        "search",
        "user",
        "verifier",
        "version",
    )

    def __init__(self, index: int, member: Member, board: NoteBoard) -> None:
        pool, user = member.pool, member.user
        self.index = index
        self.kind = member.kind
        self.pool = pool
        self.user = user
        self.asking: AsyncResult | None = None
        self.check = CheckState.NEW
        self.search = Search()
        self.verifier = Verifier(user)
        self.version = PROTOCOL_3_2
        self.passwords = source_of(user)
        self._credential = _configured_credential(user)
        # Nothing is configured to log in with, but clients prove what PostgreSQL asks for too.
        self._is_passing_on = self.kind is Kind.FOUND or (
            self.passwords is None and self._credential is None and _is_scram(user)
        )
        self._parameters: Mapping[str, str] | None = None
        self._states = StateCache()
        self.news = News()
        self._welcome_note = board.note(index, NoteKind.WELCOME, _server_of(pool, user))
        self._keys_note = board.note(index, NoteKind.KEYS, (user.username, user.password))

    @property
    def key(self) -> PoolKey:
        """The pool's name."""
        return self.pool.name, self.user.username

    def is_of(self, member: Member) -> bool:
        """Say whether this is what that member would be."""
        return (self.kind, self.pool, self.user) == (member.kind, member.pool, member.user)

    @property
    def server_user(self) -> str:
        """The user that servers are logged in as."""
        return self.user.server_username or self.user.username

    @property
    def is_locked(self) -> bool:
        """Whether no server can be opened until a client has shown its SCRAM keys somewhere."""
        return self._is_passing_on and self.credential is None

    @property
    def credential(self) -> Credential | None:
        """What logs in at PostgreSQL: configured, or proved by a client; None: nothing (yet)."""
        if self.passwords is not None:
            password = self.passwords.password
            return None if password is None else _credential_of(password)
        if self._is_passing_on and (text := self._keys_note.news()) is not None:
            self._credential = _read_proof(text)
        return self._credential

    @property
    def parameters(self) -> Mapping[str, str] | None:
        """What fresh servers of this pool report, None until one has."""
        if (text := self._welcome_note.news()) is not None:
            self._keep(_read_parameters(text))
        return self._parameters

    @property
    def states(self) -> StateCache:
        """The states of clients that were concluded from these parameters."""
        _ = self.parameters  # others may have heard of new ones
        return self._states

    @property
    def as_of(self) -> int:
        """The version of the note from which `states` were concluded, when they were last read."""
        return self._welcome_note.version

    def pass_on(self, credential: Credential | None) -> None:
        """Keep what a client has proved, SCRAM keys or an md5 hash, for logins at PostgreSQL."""
        if isinstance(credential, ScramKeys | Md5Hash) and self._is_passing_on:
            self._credential = credential
            self._keys_note.tell(_write_proof(credential))

    def learn(self, parameters: Mapping[str, str]) -> None:
        """Keep what a fresh server reports; what was concluded from anything else is forgotten."""
        self._keep(parameters)
        self._welcome_note.tell(_write_parameters(parameters))

    def inherit(self, old: PoolEntry) -> None:
        """Take over what a client proved to `old`, if it would prove the same now."""
        if old.user.password == self.user.password:
            self.pass_on(old.credential)

    def remember(
        self, settings: Mapping[str, str], state: SessionState, parameters: Mapping[str, str]
    ) -> None:
        """Keep a state that was concluded from `parameters`, unless there are others by now."""
        if self._parameters is parameters:
            self._states.put(settings, state)

    def leave(self) -> None:
        """Tell other workers nothing more: this entry has been replaced, or its pool is no more."""
        self._welcome_note.leave()
        self._keys_note.leave()

    def _keep(self, parameters: Mapping[str, str]) -> None:
        if parameters != self._parameters:
            self._parameters = parameters
            self._states = StateCache()

    def __str__(self) -> str:
        return f"{self.user.username}@{self.pool.name}"


class PoolDirectory:
    """All pools: of users that are configured, and those that logins have made.

    Clients are looked for among the configured ones; others are known by the template or by
    `auth_query` first.
    """

    __slots__ = (
        "_board",
        "_by_index",
        "_by_key",
        "_by_user",
        "_databases",
        "_has_template",
        "_template",
    )

    def __init__(self, board: NoteBoard) -> None:
        self._board = board
        self._by_key: dict[PoolKey, PoolEntry] = {}
        self._by_index: dict[int, PoolEntry] = {}
        self._by_user: dict[str, Verifier] = {}
        self._databases: frozenset[str] = frozenset()
        self._has_template = False
        self._template: Mapping[str, Verifier] = {}

    def __iter__(self) -> Iterator[PoolEntry]:
        return iter(tuple(self._by_key.values()))

    def verifiers(self) -> Iterator[Verifier]:
        """Go through what verifies the clients of configured users."""
        yield from (entry.verifier for entry in self)
        yield from tuple(self._template.values())

    def find(self, database: str, user: str) -> PoolEntry | None:
        """Return the pool of a configured user."""
        entry = self._by_key.get((database, user))
        return entry if entry is not None and entry.kind is Kind.USER else None

    def of_key(self, key: PoolKey) -> PoolEntry | None:
        """Return a pool of whatever kind by its name."""
        return self._by_key.get(key)

    def owns(self, entry: PoolEntry) -> bool:
        """Say whether the place of a pool is its own still, whatever a reload has made of it."""
        now = self._by_index.get(entry.index)
        return now is not None and now.key == entry.key

    def of_lookup(self, database: str) -> PoolEntry | None:
        """Return the pool that auth_query asks through."""
        return self._by_key.get((database, LOOKUP_USER))

    def at(self, index: int) -> PoolEntry | None:
        """Return the pool at a place of the segment; None after a reload took it away."""
        return self._by_index.get(index)

    def of_user(self, user: str) -> Verifier | None:
        """Return what verifies a user somewhere, who is known whatever database was asked for."""
        return self._by_user.get(user) or self._template.get(user)

    def has_database(self, database: str) -> bool:
        """Whether any user has a pool for that database, or may get one."""
        return database in self._databases or self.is_of_template(database)

    def is_of_template(self, database: str) -> bool:
        """Whether the pools of that database are the template's, and guests."""
        return self._has_template and database not in self._databases and database != TEMPLATE

    def of_template(self, database: str, user: str) -> Verifier | None:
        """Return what verifies a user of the template, if the database is one for that."""
        return self._template.get(user) if self.is_of_template(database) else None

    def apply(self, config: Config, indices: Mapping[PoolKey, int]) -> list[PoolEntry]:
        """Serve this configuration from now on; return the entries whose pool is no more."""
        before = self._by_key
        configured = list(members(config))
        names = {member.key for member in configured}
        guests = (guest_member(config, *key) for key in indices if key not in names)
        self._by_key = {
            member.key: self._renewed(before.get(member.key), indices[member.key], member)
            for member in (*configured, *filter(None, guests))
        }
        self._by_index = {entry.index: entry for entry in self}
        users = [entry for entry in self if entry.kind is Kind.USER]
        self._by_user = {entry.user.username: entry.verifier for entry in reversed(users)}
        self._databases = frozenset(config.pools) - {TEMPLATE}
        self._has_template = TEMPLATE in config.pools
        self._template = self._renewed_template(config.pools.get(TEMPLATE))
        gone = [entry for key, entry in before.items() if key not in self._by_key]
        for entry in gone:
            entry.leave()
        return gone

    def add(self, index: int, member: Member) -> PoolEntry:
        """Take in a pool that a login has made, or keep what is known of it."""
        entry = self._renewed(self._by_key.get(member.key), index, member)
        self._by_key[entry.key] = self._by_index[index] = entry
        return entry

    def drop(self, entry: PoolEntry) -> None:
        """Forget a pool that a login has made: its place may become another's."""
        del self._by_key[entry.key], self._by_index[entry.index]
        entry.leave()

    def _renewed_template(self, template: Pool | None) -> Mapping[str, Verifier]:
        old = self._template
        users = template.users if template is not None else {}
        return {
            name: old[name] if name in old and old[name].user == user else Verifier(user)
            for name, user in users.items()
        }

    def _renewed(self, old: PoolEntry | None, index: int, member: Member) -> PoolEntry:
        """Keep an entry whose configuration is the same, with all that it learned."""
        if old is not None and old.index == index and old.is_of(member):
            return old
        entry = PoolEntry(index, member, self._board)
        if old is not None:
            entry.inherit(old)
            old.leave()
        return entry


def _server_of(pool: Pool, user: User) -> tuple[object, ...]:
    """Return all of the configuration that what a fresh server reports can depend on."""
    return (
        (pool.server_host, pool.server_hosts, pool.server_port, pool.server_database),
        (pool.application_name, user.server_username or user.username, user.startup_parameters),
    )


def _write_parameters(parameters: Mapping[str, str]) -> bytes:
    return b"".join(cstring(text) for pair in parameters.items() for text in pair)


def _read_parameters(text: bytes) -> dict[str, str]:
    words = decode_text(text).split("\0")[:-1]
    return dict(zip(words[::2], words[1::2], strict=True))


def _write_proof(credential: ScramKeys | Md5Hash) -> bytes:
    if isinstance(credential, Md5Hash):
        return credential.text.encode()
    return credential.client_key + credential.server_key


def _read_proof(text: bytes) -> Credential:
    if len(text) == 2 * KEY_BYTES:
        return ScramKeys(text[:KEY_BYTES], text[KEY_BYTES:])
    return Md5Hash(text.decode())


def _configured_credential(user: User) -> Credential | None:
    """Return what the configuration alone can log in with."""
    if user.server_password is not None:
        return _credential_of(user.server_password)
    if not isinstance(user.password, str) or _is_scram(user):
        return None
    return _credential_of(user.password)


def _is_scram(user: User) -> bool:
    return isinstance(user.password, str) and user.password.startswith(_SCRAM_PREFIX)


def _credential_of(password: str) -> Credential:
    return Md5Hash(password) if _MD5_HASH.fullmatch(password) else PlainPassword(password)
