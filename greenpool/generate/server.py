"""What a PostgreSQL is, as far as a pooler in front of it is concerned: frozen facts.

Partners: `introspection.py`, which asks for them; `sizing.py` and `draft.py`, which use them.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Role:
    """A role that may log in. `connection_limit` None: no limit; `secret` None: none known.

    `is_expired`: its password was valid until a time that has passed (VALID UNTIL).
    """

    name: str
    connection_limit: int | None
    is_superuser: bool
    is_replication: bool
    is_expired: bool
    secret: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Database:
    """A database that lets somebody in."""

    name: str
    connection_limit: int | None


@dataclass(frozen=True, slots=True)
class Access:
    """A role may connect to a database.

    `has_traces`: it, or a role that it is a member of, owns the database or something in it, or
    was granted something there. Anybody else comes only by what PUBLIC may.
    """

    database: str
    role: str
    has_traces: bool


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL. The tuples are sorted by name.

    `superuser_slots` of its `max_connections` are kept for superusers, `reserved_slots` for
    members of pg_use_reserved_connections (PostgreSQL 16). `knows_secrets`: whoever asked was
    permitted to read them.
    """

    major: int
    max_connections: int
    superuser_slots: int
    reserved_slots: int
    knows_secrets: bool
    databases: tuple[Database, ...]
    roles: tuple[Role, ...]
    access: tuple[Access, ...]
