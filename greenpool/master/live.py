"""The configuration in force, and its replacement: a reload takes everything or nothing.

    load ─► compare ─► define pools ─► push to the workers ─► all took it ─► remove, renew
      └─ errors: the old one stays ──┘                        (`Supervisor` waits for that)

What takes an upgrade keeps its old value, so that nobody is told of a port nobody listens on; it is
named, and so is what even an upgrade cannot apply: the segment has its size for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from greenpool import config as configuration
from greenpool.config import Changes, Config, Kind, PoolKey, guest_member, heir_of
from greenpool.errors import ConfigError, EngineError
from greenpool.master import pools as pools_of
from greenpool.master.pools import PoolMark, Pools, Segment
from greenpool.observe import events
from greenpool.observe import log as logs

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """What came of a reload: errors and nothing changed, or what changed and what did not."""

    at: str  # UTC, ISO 8601
    errors: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    not_applied: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_ok(self) -> bool:
        return not self.errors

    def fields(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "ok": self.is_ok,
            "at": self.at,
            "errors": list(self.errors),
            "changed": list(self.changed),
            "not_applied": list(self.not_applied),
            "warnings": list(self.warnings),
        }


class LiveConfig:
    """Own the configuration in force and the pools made from it. Runs in master."""

    def __init__(
        self, config: Config, load: Callable[[], Config], segment: Segment, is_first: bool = True
    ) -> None:
        """Define the pools; `load` is asked again at each reload. Raises: EngineError.

        Not the first: another generation serves by what is in the segment until `take_over`.
        """
        self.config = config
        self._load = load
        self.last_reload: ReloadResult | None = None
        self._segment = segment
        self.pools: Pools = (pools_of.apply if is_first else pools_of.adopt)(segment, config)
        self.found: set[PoolKey] = set()  # of the pools, those that logins have made
        self._doomed: list[int] = []
        self._stale: list[int] = []

    def reload(self) -> ReloadResult:
        """Load the file again and, if it is good, put it in force in the master.

        Blocks on file reads. Afterwards the workers must be told, and then `settle` called.
        """
        try:
            result = self._adopt(self._load())
        except ConfigError as exc:
            result = ReloadResult(_now(), errors=exc.problems)
        except EngineError as exc:
            result = ReloadResult(_now(), errors=(str(exc),))
        self.last_reload = result
        log_result(result)
        return result

    def put(self, name: str, text: str) -> ReloadResult:
        """Change one setting until the next reload; go on as after that."""
        try:
            result = self._adopt(configuration.with_setting(self.config, name, text))
        except (ConfigError, EngineError) as exc:
            result = ReloadResult(_now(), errors=(str(exc),))
        log_result(result)
        return result

    def settle(self) -> None:
        """Retire what the old configuration needed. After the workers have taken the new one."""
        for index in self._doomed:
            self._segment.remove_pool(index)
        for index in self._stale:
            self._segment.renew_pool(index)
        self._doomed.clear()
        self._stale.clear()

    def take_over(self) -> None:
        """Put this configuration in force in the segment, where another one was.

        Pools of found users that are there go on.
        """
        self.found = pools_of.found(self._segment, self.config)
        self.pools = pools_of.apply(self._segment, self.config, self.found)

    def settle_inheritance(self, left: Iterable[PoolMark], secret: bytes) -> None:
        """Retire what only the generation before needed, which is gone by now.

        `left` tells by which servers it had its pools: those of others are replaced.
        """
        own = {(database, user): mark for database, user, mark in self.marks(secret)}
        before = {(database, user): mark for database, user, mark in left}
        self._doomed += pools_of.strangers(self._segment, self.pools)
        self._stale += [
            self.pools[name] for name, mark in own.items() if before.get(name, mark) != mark
        ]
        self.settle()

    def put_back(self) -> None:
        """Undo what a generation that did not last has done to the segment.

        Pools that it made for found users stay: logins here may have been told of them.
        """
        self.take_over()
        pools_of.remove_strangers(self._segment, self.pools)

    def marks(self, secret: bytes) -> tuple[PoolMark, ...]:
        """Return what tells the servers of each pool from those of another configuration."""
        return pools_of.marks(self.config, secret, self.found)

    def not_applied(self) -> list[str]:
        """Name what the segment is too small for."""
        return self._above_the_segment(self.config)

    # ---- pools that logins make: `found_pools.py` says when ---------------------------------

    def add_found(self, key: PoolKey) -> int:
        """Define the pool of a guest, return its index. Raises: EngineError."""
        member = guest_member(self.config, *key)
        if member is None:
            raise EngineError("the configuration has no such pool any more")
        index = pools_of.define(self._segment, member)
        self._doomed = [doomed for doomed in self._doomed if doomed != index]
        self.found.add(key)
        self.pools[key] = index
        return index

    def hide_found(self, key: PoolKey) -> None:
        """Tell nobody new of a pool."""
        self.found.discard(key)
        self.pools.pop(key, None)

    def show_found(self, key: PoolKey, index: int) -> None:
        """Take back `hide_found`."""
        self.found.add(key)
        self.pools[key] = index

    def remove_found(self, key: PoolKey, index: int) -> None:
        """Take the pool out of the segment; its place is another's from now on."""
        self.hide_found(key)
        self._segment.remove_pool(index)
        try:
            self._segment.vacate_pool(index, self.pools[heir_of(self.config, key[0])])
        except EngineError as exc:  # the place waits for the same user
            log.debug("%s", exc)

    def _adopt(self, loaded: Config) -> ReloadResult:
        old = self.config
        differences = configuration.changes(old, loaded)
        new = configuration.keep_restart_keys(old, loaded)
        guests = {key for key in self.pools if self._stays(new, key)}
        pools = pools_of.change(self._segment, old, self.pools, new, guests)
        self._doomed += [index for name, index in self.pools.items() if name not in pools]
        self._doomed = [index for index in self._doomed if index not in pools.values()]
        self._stale += [pools[name] for name in pools_of.to_renew(old, new, guests)]
        self.config, self.pools = new, pools
        self.found = guests
        if _log_settings(old) != _log_settings(new):
            set_up_log(new, None)
        return ReloadResult(
            _now(),
            changed=_describe(differences),
            not_applied=(
                *(f"{key} (takes an upgrade)" for key in differences.restart),
                *self._above_the_segment(new),
            ),
            warnings=loaded.warnings,
        )

    def _stays(self, new: Config, key: PoolKey) -> bool:
        """Say whether a pool goes on as one that a login has made.

        One that was configured does if the template has its user: nobody has been taken away.
        """
        member = guest_member(new, *key)
        return member is not None and (key in self.found or member.kind is Kind.TEMPLATE)

    def _above_the_segment(self, new: Config) -> list[str]:
        rows = self._segment.clients_max - pools_of.ADMIN_CLIENTS
        if new.general.max_connections <= rows:
            return []
        return [f"general.max_connections above {rows} (takes a restart)"]


def set_up_log(config: Config, worker: int | None) -> None:
    """Log as `config` says; `worker` None: as the master."""
    logs.setup(*_log_settings(config), worker)


def log_result(result: ReloadResult) -> None:
    """Write a reload's result: each error, each change, each key that waits for a restart."""
    for problem in result.errors:
        events.CONFIG_ERROR.tell(log, problem=problem)
    if not result.is_ok:
        events.CONFIG_RELOAD_FAILED.tell(log, problems="; ".join(result.errors))
        return
    for warning in result.warnings:
        events.CONFIG_WARNING.tell(log, warning=warning)
    for key in result.not_applied:
        events.CONFIG_NOT_APPLIED.tell(log, key=key)
    changes = ", ".join(result.changed) or "nothing has changed"
    events.CONFIG_RELOADED.tell(log, changes=changes)


def _log_settings(config: Config) -> tuple[str, str, str | None]:
    general = config.general
    return general.log_level, general.log_format, general.syslog_prog_name


def _describe(differences: Changes) -> tuple[str, ...]:
    pools = (
        ("added", differences.pools_added),
        ("removed", differences.pools_removed),
        ("changed", differences.pools_changed),
    )
    users = (
        ("added", differences.users_added),
        ("removed", differences.users_removed),
        ("changed", differences.users_changed),
    )
    words = list(differences.live)
    words += [f'pool "{name}" {verb}' for verb, names in pools for name in names]
    words += [
        f'user "{user}" of pool "{pool}" {verb}' for verb, names in users for pool, user in names
    ]
    return tuple(words)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
