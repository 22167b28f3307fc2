"""A PostgreSQL as introspection would describe it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from greenpool.generate.server import Access, Database, Role, Server

SECRET = "md5" + "0123456789abcdef" * 2


def role(name: str, limit: int | None = None, secret: str | None = SECRET, **flags: bool) -> Role:
    return Role(
        name,
        limit,
        is_superuser=flags.get("is_superuser", False),
        is_replication=flags.get("is_replication", False),
        is_expired=flags.get("is_expired", False),
        secret=secret,
    )


def server(
    roles: Sequence[Role] = (role("app"),),
    databases: Mapping[str, int | None] | None = None,
    traces: Sequence[tuple[str, str]] = (),
    **facts: int,
) -> Server:
    """Make one where every role may connect to every database."""
    limits = {"shop": None} if databases is None else databases
    return Server(
        major=18,
        max_connections=facts.get("max_connections", 100),
        superuser_slots=facts.get("superuser_slots", 3),
        reserved_slots=facts.get("reserved_slots", 0),
        knows_secrets=bool(facts.get("knows_secrets", True)),
        databases=tuple(Database(name, limit) for name, limit in sorted(limits.items())),
        roles=tuple(sorted(roles, key=lambda each: each.name)),
        access=tuple(
            Access(database, each.name, (database, each.name) in traces)
            for database in sorted(limits)
            for each in sorted(roles, key=lambda each: each.name)
        ),
    )
