"""Compare what greenpool says about itself with what PostgreSQL says."""

from __future__ import annotations

from tests.integration.harness.pooler import Pooler
from tests.integration.harness.waiting import wait_for


def discrepancies(pooler: Pooler, clients: int, user: str = "app") -> list[str]:
    """List all that is wrong with a pooler of which nobody wants anything just now.

    `clients` are those of `user` that are connected. All of its servers must be idle, and be
    PostgreSQL's backends, one for one.
    """
    servers = [row for row in pooler.admin("show servers") if row["user"] == user]
    pools = [row for row in pooler.admin("show pools") if row["user"] == user]
    rows = [row for row in pooler.admin("show clients") if row["user"] == user]
    backends = {each.pid for each in pooler.pg.backends(user)}
    found = [f"server {row['ptr']} is {row['state']}" for row in servers if row["state"] != "idle"]
    found += [f"client {row['id']} is {row['state']}" for row in rows if row["state"] != "idle"]
    if {row["remote_pid"] for row in servers} != backends or len(servers) != len(backends):
        known = sorted(row["remote_pid"] for row in servers)
        found.append(f"servers {known}, backends {sorted(backends)}")
    for name in ("cl_waiting", "sv_active", "sv_login", "sv_being_canceled", "sv_closing"):
        found += [f"{name} = {row[name]}" for row in pools if row[name]]
    if sum(row["sv_idle"] for row in pools) != len(backends):
        found.append(f"sv_idle is not {len(backends)}")
    if not len(rows) == sum(row["cl_active"] for row in pools) == clients:
        found.append(f"{len(rows)} clients are shown, {pools} counted, {clients} connected")
    return found


def wait_for_balance(pooler: Pooler, clients: int, user: str = "app") -> None:
    """Wait until nothing is wrong with the accounts."""
    last: list[str] = []

    def balanced() -> bool:
        last[:] = discrepancies(pooler, clients, user)
        return not last

    try:
        wait_for(balanced, "balanced accounts")
    except AssertionError as exc:
        raise AssertionError(f"{exc}: {last}") from None
