"""What is to be done with a client, decided once for all that are alike.

    StartupMessage, Request --decide--> Decision (open plan) --proved, state known--> completed
                                             ^                                           |
    the next client with the same packet ----+------------------- PlanCache -------------+

A plan goes to the engine, which has the client prove who it is and lets it in. It is open as long
as the session state that the startup packet asks for is not known: then the engine asks back.
Law: what is decided depends on the packet, on the address it came from, on what TLS showed, and
on the configuration; nothing else may be remembered, and a reload forgets all of it. Users that do
not exist have plans like any other, which are remembered alike. Nothing here waits but for PBKDF2.
Partners: `session.py`, `access.py`; `_cparser/entrance.c`, which follows plans.
"""

from __future__ import annotations

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
    from greenpool.worker.state import Worker

CAPACITY = 2048
"""Decisions remembered by a worker: an application has one for each host that it runs on."""

SHORT_KEY_BYTES = 4
LONG_KEY_BYTES = 32
"""Cancel keys: what protocol 3.0 can carry, and what PostgreSQL 18 makes for 3.2."""

PlanKey: TypeAlias = tuple[bytes, str, Certificate | None, bytes | None]
"""A startup packet, the host it came from, and what TLS showed: certificate and binding, if any."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for a client. `entry` None: there is no such pool.

    `states` None: the plan is open. Otherwise its terms come from one of these, and hold as long as
    they are the pool's.
    """

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

    @property
    def is_current(self) -> bool:
        """Whether what was concluded from the pool's parameters still holds."""
        if self.states is None or self.entry is None:
            return True
        return self.entry.states is self.states


class PlanCache:
    """Decisions by what they depend on; the oldest goes first."""

    __slots__ = ("_capacity", "_decisions")

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._decisions: dict[PlanKey, Decision] = {}

    def get(self, key: PlanKey) -> Decision | None:
        """Return what was decided for clients like this one, if it still holds."""
        decision = self._decisions.get(key)
        return decision if decision is not None and decision.is_current else None

    def put(self, key: PlanKey, decision: Decision) -> None:
        """Remember a decision."""
        if key not in self._decisions and len(self._decisions) >= self._capacity:
            del self._decisions[next(iter(self._decisions))]
        self._decisions[key] = decision


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
    plan = _plan(worker, startup, challenge, None)
    decision = Decision(startup, challenge, demand.secret, entry, plan)
    if entry is None or demand.is_doomed or entry.is_locked:  # its keys are to unlock that
        return decision
    state = _known_state(entry, startup)
    return decision if state is None else complete(worker, decision, entry, state)


def complete(worker: Worker, decision: Decision, entry: PoolEntry, state: SessionState) -> Decision:
    """Set the terms: this state."""
    plan = _plan(
        worker, decision.startup, decision.challenge, _terms(worker, decision, entry, state)
    )
    return replace(decision, entry=entry, plan=plan, states=entry.states)


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
    worker: Worker, startup: StartupMessage, challenge: Challenge, terms: Terms | None
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
    )
