"""A status laid out for people. Runs in a command, without the engine. Partner: `status`."""

from __future__ import annotations

from typing import Any


def render(status: dict[str, Any]) -> str:
    """Lay a status out for people."""
    clients, servers = status["clients"], status["servers"]
    lines = [
        f"greenpool {status['version']}  pid {status['pid']}  {status['phase']}  "
        f"generation {status['generation']}  up {_uptime(status['uptime_s'])}",
        f"listening on {', '.join(status['listening'])}",
        f"clients  {clients['active']} active, {clients['waiting']} waiting, "
        f"{clients['idle']} idle",
        f"servers  {servers['in_use']} in use, {servers['idle']} idle, at most {servers['limit']}",
        f"reload   {_reload(status['last_reload'])}",
        f"upgrade  {_upgrade(status['last_upgrade'])}",
        "",
        f"{'worker':>6}  {'pid':>8}  {'state':<9} {'births':>6}  {'clients':>7}  {'busy':>6}",
    ]
    lines += [
        f"{row['worker']:>6}  {row['pid'] or '-':>8}  {row['state']:<9} {row['births']:>6}  "
        f"{row['clients']:>7}  {row['busy_permille'] / 10:>4.0f} %"
        for row in status["workers"]
    ]
    return "\n".join(lines)


def _uptime(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    clock = f"{hour:02d}:{minute:02d}:{second:02d}"
    return f"{days} d {clock}" if days else clock


def _upgrade(result: dict[str, Any] | None) -> str:
    if result is None:
        return "none since the start"
    what = f"done, from {result['came_from']}" if result["ok"] else f"failed: {result['why']}"
    return f"{result['at']} {what}"


def _reload(result: dict[str, Any] | None) -> str:
    if result is None:
        return "none since the start"
    if not result["ok"]:
        return f"{result['at']} failed: {len(result['errors'])} errors, the old one stays"
    waiting = f"; not applied: {', '.join(result['not_applied'])}"
    return f"{result['at']} done" + (waiting if result["not_applied"] else "")
