"""auth_query at work: who is not in the configuration is looked up in PostgreSQL.

    younger than min_interval   the answer is used as it is
    older                       PostgreSQL is asked again before the client is asked anything
    PostgreSQL does not answer  the last answer stands in, for cache_ttl (cache_failure_ttl where it
                                was "no such user"); without one the client is refused

So a password that was changed, and a user that was dropped or made, count from the next login on,
and no reload is needed. Who exists and who does not goes through the same steps at the same times.

Law: one question about a user is under way at a time, asked by a greenlet that outlives whoever
waits for it. It goes through a pool of the segment like a client (`probe.py`), which limits the
connections over all workers. Nothing of an answer is ever logged.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import gevent
from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore

from greenpool.auth.auth_query import AuthQueryError, read_answer, request, secret_of
from greenpool.auth.secret import Secret
from greenpool.config import LOOKUP_USER, AuthQuery, Config, lookup_of
from greenpool.errors import GreenpoolError, ReportedError
from greenpool.observe import events
from greenpool.protocol.errors import ClientError, Severity, SqlState
from greenpool.protocol.message import Message
from greenpool.tallies import Tally
from greenpool.worker import probe
from greenpool.worker.pools import News

if TYPE_CHECKING:
    from greenpool.worker.pools import PoolEntry
    from greenpool.worker.state import Worker

log = logging.getLogger(__name__)

MAX_ANSWERS = 10_000
"""Users remembered for one pool in one worker; the one asked about longest ago goes first."""

PATIENCE_S = 1.0
"""How long a login waits for an answer where an older one could stand in."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What PostgreSQL said of a user. `secret` None: no password fits."""

    is_user: bool
    secret: Secret | None = field(repr=False)
    parameters: Mapping[str, str]
    at_s: float
    is_cached: bool = False


class Lookup:
    """The auth_query of one pool, in one worker."""

    __slots__ = (
        *("_answers", "_flights", "_news", "_settings", "_turns", "_unknown", "_worker", "pool"),
    )

    def __init__(self, worker: Worker, entry: PoolEntry, settings: AuthQuery) -> None:
        self.pool = entry.pool
        self._worker = worker
        self._settings = settings
        self._answers: dict[str, Answer] = {}
        self._unknown = 0  # of these, the ones that say: no such user
        self._news = News()
        self._flights: dict[str, tuple[float, AsyncResult]] = {}
        self._turns = BoundedSemaphore(settings.workers)  # more could not be served at a time

    def fits(self, entry: PoolEntry, settings: AuthQuery) -> bool:
        """Say whether a new configuration asks the same question in the same place."""
        return (self.pool, self._settings) == (entry.pool, settings)

    def find(self, user: str) -> Answer:
        """Return what is to be believed of a user now.

        Switches: if PostgreSQL is asked; the caller has a deadline. Raises: ClientError when it
        cannot be asked.
        """
        known, now_s = self._answers.get(user), self._worker.now_s()
        if known is not None and now_s - known.at_s < self._settings.min_interval_ms / 1000:
            self.count(Tally.CACHE_HITS)
            return known
        self.count(Tally.CACHE_MISSES if known is None else Tally.CACHE_REFETCHES)
        begun_s, flight = self._flight(user, now_s)
        can_stand_in = known is not None and now_s - known.at_s < self._ttl_s(known)
        flight.wait(max(0.0, begun_s + PATIENCE_S - now_s) if can_stand_in else None)
        if flight.ready() and isinstance(flight.value, Answer):
            return flight.value
        if can_stand_in and known is not None:
            return known
        raise _cannot_look_up(user)

    def parameters(self) -> Iterator[tuple[str, str, str]]:
        """Go through the settings of all users that are remembered: user, name, value."""
        for user, answer in list(self._answers.items()):
            for name, value in answer.parameters.items():
                yield user, name, value

    def conclude(self, answer: Answer, *, is_in: bool) -> None:
        """Count how a login by an answer has ended."""
        self.count(Tally.AUTH_SUCCESS if is_in else Tally.AUTH_FAILURE)
        if not is_in and answer.is_cached:
            self.count(Tally.RATE_LIMITED)

    def count(self, tally: Tally) -> None:
        """Count something for SHOW AUTH_QUERY."""
        if (entry := self._entry) is not None:
            self._worker.tallies.add(entry.index, self._worker.index, tally)

    def show_size(self) -> None:
        """Tell SHOW AUTH_QUERY how many users are remembered, and how many that do not exist."""
        if (entry := self._entry) is not None:
            place = entry.index, self._worker.index
            self._worker.tallies.put(*place, Tally.CACHE_ENTRIES, len(self._answers))
            self._worker.tallies.put(*place, Tally.CACHE_UNKNOWN, self._unknown)

    @property
    def _entry(self) -> PoolEntry | None:
        return self._worker.pools.of_lookup(self.pool.name)

    def _ttl_s(self, answer: Answer) -> float:
        settings = self._settings
        ttl_ms = settings.cache_ttl_ms if answer.is_user else settings.cache_failure_ttl_ms
        return ttl_ms / 1000

    def _flight(self, user: str, now_s: float) -> tuple[float, AsyncResult]:
        """Return the question about a user that is under way, and since when; or ask it."""
        flight = self._flights.get(user)
        if flight is None:
            flight = self._flights[user] = (now_s, AsyncResult())
            self._worker.questions.spawn(self._fly, user, flight[1])
        return flight

    def _fly(self, user: str, landing: AsyncResult) -> None:
        """Greenlet: ask for all who wait, whoever of them gives up meanwhile."""
        answer: Answer | None = None
        try:
            answer = self._ask(user)
            self._remember(user, answer)
        except gevent.Timeout:
            self._fail("no answer within client_login_timeout")
        except ReportedError as exc:
            self._fail(f"{exc.message} ({exc.sqlstate})")
        except GreenpoolError as exc:
            self._fail(str(exc))
        except Exception as exc:
            events.BUG.tell(log, exc, what=f"{self.pool.name}: auth_query failed")
        finally:
            del self._flights[user]
            landing.set(answer)

    def _ask(self, user: str) -> Answer:
        """Ask PostgreSQL. Switches: yes. Raises: GreenpoolError, gevent.Timeout."""
        worker, entry = self._worker, self._entry
        if entry is None:
            raise AuthQueryError("it has been taken out of the configuration")
        asked_s, timeout_s = worker.now_s(), worker.config.general.client_login_timeout_ms / 1000
        with gevent.Timeout(timeout_s):
            row = read_answer(self._answer_of(entry, user))
        if row is None or user == LOOKUP_USER:
            return Answer(False, None, {}, asked_s)
        try:
            secret = secret_of(row, user, worker.boot_secret, worker.keys, worker.auth.iterations)
        except AuthQueryError as exc:
            events.LOOKUP_UNUSABLE.tell(log, database=self.pool.name, user=user, error=exc)
            secret = None
        return Answer(True, secret, row.parameters, asked_s)

    def _answer_of(self, entry: PoolEntry, user: str) -> list[Message]:
        """Wait for a turn as long as for a server, then ask."""
        if not self._turns.acquire(timeout=entry.pool.query_wait_timeout_ms / 1000 or None):
            raise AuthQueryError("query_wait_timeout: no server connection became free in time")
        try:
            self.count(Tally.EXECUTOR_QUERIES)
            return probe.answer(self._worker, entry, request(self._settings.query, user))
        finally:
            self._turns.release()

    def _remember(self, user: str, answer: Answer) -> None:
        self._forget(user)
        if len(self._answers) >= MAX_ANSWERS:
            self._forget(next(iter(self._answers)))
        self._answers[user] = replace(answer, is_cached=True)
        self._unknown += not answer.is_user
        self.show_size()

    def _forget(self, user: str) -> None:
        before = self._answers.pop(user, None)
        if before is not None and not before.is_user:
            self._unknown -= 1

    def _fail(self, why: str) -> None:
        self.count(Tally.EXECUTOR_ERRORS)
        if self._news.has(why, self._worker.now_s()):
            events.LOOKUP_FAILED.tell(log, database=self.pool.name, error=why)


class Lookups:
    """All auth_query of one worker, by the database that clients ask for."""

    __slots__ = ("_by_database", "_worker")

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._by_database: dict[str, Lookup] = {}

    def of(self, database: str) -> Lookup | None:
        """Return what looks up users of a database."""
        return self._by_database.get(lookup_of(self._worker.config, database)[0])

    def parameters(self) -> Iterator[tuple[str, str, str, str]]:
        """Go through the settings of all users that are remembered: database, user, name, value."""
        for database, lookup in list(self._by_database.items()):
            yield from ((database, *found) for found in lookup.parameters())

    def apply(self, config: Config) -> None:
        """Ask by this configuration from now on; what another question brought is forgotten.

        After `PoolDirectory.apply`.
        """
        before, self._by_database = self._by_database, {}
        for pool in config.pools.values():
            entry = self._worker.pools.of_lookup(pool.name)
            if pool.auth_query is None or entry is None:
                continue
            old = before.get(pool.name)
            keeps = old is not None and old.fits(entry, pool.auth_query)
            lookup = old if keeps and old else Lookup(self._worker, entry, pool.auth_query)
            self._by_database[pool.name] = lookup
            lookup.show_size()


def _cannot_look_up(user: str) -> ClientError:
    return ClientError(
        Severity.FATAL,
        SqlState.CONNECTION_FAILURE,
        f'cannot look up user "{user}"',
        "The server may be down: try again. The log of greenpool says more.",
    )
