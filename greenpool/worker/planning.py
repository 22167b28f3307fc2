"""What is to be done with a client, decided once for all that are alike.

    StartupMessage, Request --decide--> Decision (open plan) --proved, state known--> completed
                                             ^                                           |
    the next client with the same packet ----+------------------- PlanCache -------------+

A plan goes to the engine, which has the client prove who it is and lets it in. It is open as long
as the session state that the startup packet asks for is not known: then the engine asks back. The
engine also knows which plan the next client like this one follows, and does so without Python.
Law: what is decided depends on the packet, on the address it came from, on what TLS showed, and
on the configuration; nothing else may be remembered, and a reload forgets all of it. Users that do
not exist have plans like any other, which are remembered alike. Nothing here waits but for PBKDF2.
Partners: `session.py`, `access.py`; `_cparser/plans.h`, which knows plans, and `entrance.c`, which
follows them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from greenpool.auth.client_auth import challenge_of
from greenpool.auth.peer import Certificate
from greenpool.auth.secret import Secret
from greenpool.login import Challenge, LoginPlan, Terms
from greenpool.protocol.errors import ClientError
from greenpool.protocol.startup import StartupMessage
from greenpool.worker.access import Demand
from greenpool.worker.pools import PoolEntry
from greenpool.worker.startup_state import SessionState, StateCache

if TYPE_CHECKING:
    from greenpool.engine import Engine
    from greenpool.worker.state import Worker

CAPACITY = 4096
"""Decisions remembered by a worker: twice as many as plans that the engine knows (`plans.h`), since
clients may be on their way that follow one which it has forgotten."""

SHORT_KEY_BYTES = 4
LONG_KEY_BYTES = 32
"""Cancel keys: what protocol 3.0 can carry, and what PostgreSQL 18 makes for 3.2."""

PlanKey: TypeAlias = tuple[bytes, bytes]
"""Who it is as far as the connection shows, and the startup packet: see `_cparser/plans.h`."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for a client. `entry` None: there is no such pool.

    `tag`: the plan's. `states` None: the plan is open. Otherwise its terms come from one of these,
    and hold as long as they are the pool's.
    """

    tag: int
    startup: StartupMessage
    challenge: Challenge
    secret: Secret | None = field(repr=False)
    entry: PoolEntry | None
    plan: LoginPlan
    states: StateCache | None = None

    @property
    def is_open(self) -> bool:
        """Whether the client's session state is still to be found."""
        return self.states is None


class PlanCache:
    """Decisions under one configuration; the engine knows whom they are for.

    Clients of the configuration before may still be on their way: what was decided for these is
    found by the tag as before, but nothing is remembered any more.
    """

    __slots__ = ("_decisions", "_engine", "_is_over")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._decisions: dict[int, tuple[PlanKey | None, Decision]] = {}
        self._is_over = False

    def renew(self) -> PlanCache:
        """Begin anew, under another configuration; this cache remembers nothing from here on."""
        self._is_over = True
        self._engine.forget_plans()
        new = PlanCache(self._engine)
        new._decisions = {tag: (None, each) for tag, (_, each) in self._decisions.items()}
        return new

    def get(self, key: PlanKey) -> Decision | None:
        """Return what was decided for clients like this one, if it still holds."""
        found = None if self._is_over else self._decisions.get(self._engine.plan_tag(*key))
        return None if found is None else found[1]

    def of(self, tag: int) -> tuple[PlanKey | None, Decision] | None:
        """Return what was decided for a client that follows the plan with this tag.

        Key None: under an earlier configuration, so nothing may be remembered of it.
        """
        return self._decisions.get(tag)

    def put(self, key: PlanKey, decision: Decision) -> None:
        """Remember a decision, unless it has been overtaken."""
        entry, as_of = decision.entry, 0
        if self._is_over:
            return
        if entry is not None and decision.states is not None:
            if entry.states is not decision.states:
                return
            as_of = entry.as_of
        if len(self._decisions) >= CAPACITY:
            del self._decisions[next(iter(self._decisions))]
        self._decisions[decision.tag] = key, decision
        self._engine.know_plan(*key, decision.plan, as_of)


_tags = itertools.count(1)


def who_of(host: str, certificate: Certificate | None, binding: bytes | None) -> bytes:
    """Return what a connection shows; `binding` None: it has no TLS.

    Clients with certificates are none of the engine's: it would write nothing like this.
    """
    who = host.encode() + b"\0"
    if binding is None:
        return who
    return who + (b"T" if certificate is None else b"C" + repr(certificate).encode()) + binding


def decide(
    worker: Worker,
    startup: StartupMessage,
    demand: Demand,
    entry: PoolEntry | None,
    binding: bytes = b"",
) -> Decision:
    """Decide how a client proves who it is, and what it is let in to if that is known already.

    `entry` None: there is no such pool.
    """
    challenge = challenge_of(demand.method, startup.user, demand.secret, worker.auth, binding)
    tag = next(_tags)
    plan = _plan(worker, startup, challenge, None, tag)
    decision = Decision(tag, startup, challenge, demand.secret, entry, plan)
    if entry is None or demand.is_doomed or entry.is_locked:  # its keys are to unlock that
        return decision
    state = _known_state(entry, startup)
    return decision if state is None else complete(worker, decision, entry, state)


def complete(worker: Worker, decision: Decision, entry: PoolEntry, state: SessionState) -> Decision:
    """Set the terms: this state."""
    tag, terms = next(_tags), _terms(worker, decision, entry, state)
    plan = _plan(worker, decision.startup, decision.challenge, terms, tag)
    return replace(decision, tag=tag, entry=entry, plan=plan, states=entry.states)


def _known_state(entry: PoolEntry, startup: StartupMessage) -> SessionState | None:
    try:
        return entry.states.get(startup.settings())
    except ClientError:  # for its options; it is told when it has proved who it is
        return None


def _terms(worker: Worker, decision: Decision, entry: PoolEntry, state: SessionState) -> Terms:
    general = worker.config.general
    long_keys = decision.startup.takes_long_cancel_keys
    return Terms(
        pool=entry.index,
        state_hash=state.hash,
        state_sql=state.sql,
        look_sql=state.look,
        statuses=state.statuses,
        key_bytes=LONG_KEY_BYTES if long_keys else SHORT_KEY_BYTES,
        user_limit=general.max_user_client_connections,
        both_limit=entry.user.max_client_connections,
        database_limit=general.max_db_client_connections,
    )


def _plan(
    worker: Worker, startup: StartupMessage, challenge: Challenge, terms: Terms | None, tag: int
) -> LoginPlan:
    general = worker.config.general
    return LoginPlan(
        challenge,
        terms,
        database=startup.database,
        application=startup.parameters.get("application_name", ""),
        greeting=startup.negotiation(),
        timeout_ms=general.client_login_timeout_ms,
        tells=general.log_client_connections,
        tag=tag,
    )
