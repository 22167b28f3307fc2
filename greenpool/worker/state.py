"""What the parts of one worker share. Runs after the fork; one hub, one thread, no locks.

Law: nothing here waits. Parts get the `Worker` and reach each other only through it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gevent.event import AsyncResult
from gevent.pool import Group
from gevent.threadpool import ThreadPool

from greenpool.admin.console import Console
from greenpool.auth.client_auth import AuthContext
from greenpool.auth.secret import Secret
from greenpool.config import Config
from greenpool.tallies import Tallies
from greenpool.worker.control import ControlMessage
from greenpool.worker.found import FoundPools
from greenpool.worker.keys import KeyCache
from greenpool.worker.lookup import Lookups
from greenpool.worker.notes import NoteBoard
from greenpool.worker.planning import PlanCache
from greenpool.worker.pools import PoolDirectory, Verifier
from greenpool.worker.tls_contexts import TlsContexts

if TYPE_CHECKING:  # the parts can be tested with an engine that is none
    from greenpool.engine import Engine
    from greenpool.segment import Segment

AUTHORITY_THREADS = 16
"""Passwords that outside authorities may be asked about at a time; more logins wait, idle."""


@dataclass(slots=True)
class Worker:
    """One worker process: its engine, which has its clients, its configuration, its pools."""

    index: int
    engine: Engine
    segment: Segment
    config: Config
    console: Console
    threads: ThreadPool
    tallies: Tallies
    tell: Callable[[ControlMessage], None]
    """Say something to the master. Switches: no."""
    boot_secret: bytes = field(repr=False)
    pools: PoolDirectory = field(init=False)
    plans: PlanCache = field(init=False)
    proofs: dict[int, AsyncResult] = field(default_factory=dict)
    """Sessions that wait for what the engine says of their client: see `session.py`."""
    keys: KeyCache = field(init=False)
    auth: AuthContext = field(init=False)
    authorities: ThreadPool = field(init=False)
    """Threads that ask PAM and LDAP, who may take their time: none else shall wait for it."""
    tls: TlsContexts = field(init=False)
    consoles: Group = field(default_factory=Group)
    """The sessions that speak the admin console; all others of Python's are logins."""
    lookups: Lookups = field(init=False)
    found: FoundPools = field(init=False)
    questions: Group = field(default_factory=Group)
    """What greenpool asks PostgreSQL for itself: each may wait as long as a client."""
    is_draining: bool = False
    is_leaving: bool = False
    """Others get all it has: it begins nothing that no login waits for."""

    def __post_init__(self) -> None:
        self.pools = PoolDirectory(NoteBoard(self.segment, self.index, self.boot_secret))
        self.keys = KeyCache(self.threads)
        self.plans = PlanCache(self.engine)
        self.adopt(self.config)
        self.authorities = ThreadPool(AUTHORITY_THREADS)
        self.tls = TlsContexts(self.boot_secret)
        self.lookups = Lookups(self)
        self.found = FoundPools(self)

    def adopt(self, config: Config) -> None:
        """Let this configuration be the one in force. Who is deciding keeps the old plans."""
        iterations = config.general.scram_iterations
        self.config, self.plans = config, self.plans.renew()
        self.auth = AuthContext(self.boot_secret, self.keys, iterations=iterations)
        general = config.general  # close(2) waits for SO_LINGER: that is for a thread
        is_told = general.log_client_disconnections or bool(general.tcp_so_linger_s)
        self.engine.mind_farewells(is_told)

    def secret_of(self, verifier: Verifier) -> Secret | None:
        """Return what verifies the clients of a user of the configuration. Switches: maybe."""
        return verifier.secret(self.boot_secret, self.keys, self.auth.iterations)

    @staticmethod
    def now_s() -> float:
        """Return the clock of back-offs and durations."""
        return time.monotonic()
