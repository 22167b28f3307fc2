"""What a PostgreSQL is -> the configuration of a greenpool in front of it.

Law: every decision about who gets a pool is here, sizes are `sizing.py`'s. Nothing that changes
while the cluster stays the same (times, who leads, who is connected) may leave a trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from greenpool.config import ADMIN_DATABASES, LOOKUP_USER, PoolMode, ServerTlsMode, is_unicode
from greenpool.generate.outline import Entry, Outline, PoolOutline, UserOutline
from greenpool.generate.server import Access, Role, Server
from greenpool.generate.sizing import Pair, Rules, budget, share_out
from greenpool.generate.text import quoted

SECRETS_HINT = (
    "GRANT SELECT ON pg_authid lets this role read the hashes of passwords; --userlist names a "
    "file with passwords; or write the users, or an auth_query, into the included file."
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line says about the result."""

    server_host: str
    server_port: int
    server_tls_mode: ServerTlsMode | None = None
    server_tls_ca_cert: Path | None = None
    pool_mode: PoolMode = PoolMode.TRANSACTION
    with_superusers: bool = False
    without_databases: frozenset[str] = frozenset()
    without_users: frozenset[str] = frozenset()
    rules: Rules = field(default_factory=Rules)


def draft(
    server: Server,
    wishes: Wishes,
    passwords: Mapping[str, str],
    patroni_urls: tuple[str, ...],
) -> Outline:
    """Make the outline. `passwords`: secrets from elsewhere, which win over PostgreSQL's."""
    left_out: list[str] = []
    roles = {role.name: role for role in _roles(server, wishes, passwords, left_out)}
    databases = set(_databases(server, wishes, left_out))
    pools = [each for each in server.access if each.database in databases and each.role in roles]
    sizes = share_out(server, pools, wishes.rules)
    by_database = {name: list(found) for name, found in groupby(pools, lambda a: a.database)}
    if not server.knows_secrets:  # the included file names the users
        by_database = {name: by_database.get(name, []) for name in sorted(databases)}
    return Outline(
        source=f"PostgreSQL {server.major} at {_address(wishes)}",
        general=tuple(_general(wishes, patroni_urls)),
        pools=tuple(
            _pool(database, members, roles, sizes, wishes, passwords)
            for database, members in by_database.items()
        ),
        notes=tuple(_notes(server, wishes, sizes)),
        left_out=(*left_out, *_lonely(databases - by_database.keys())),
    )


def _roles(
    server: Server, wishes: Wishes, passwords: Mapping[str, str], left_out: list[str]
) -> Iterator[Role]:
    """Yield who gets a pool, and note who does not, and why."""
    for role in server.roles:
        has_secret = role.secret is not None or bool(passwords.get(role.name))
        why = None
        if role.name in wishes.without_users:
            continue
        if not is_unicode(role.name):
            why = "its name is not UTF-8"
        elif role.name == LOOKUP_USER:
            why = "its name is reserved"
        elif role.is_superuser and not wishes.with_superusers:
            why = "a superuser (--superusers takes them in)"
        elif role.is_replication and not role.is_superuser:
            why = "it is for replication"
        elif role.connection_limit == 0:
            why = "its connection limit is 0"
        elif role.is_expired:
            why = "its password has expired"
        elif not has_secret:
            why = "no password is known"
        if why is None:
            yield role
        else:
            left_out.append(f"role {quoted(role.name)}: {why}")


def _databases(server: Server, wishes: Wishes, left_out: list[str]) -> Iterator[str]:
    for database in server.databases:
        why = None
        if database.name in wishes.without_databases:
            continue
        if not is_unicode(database.name):
            why = "its name is not UTF-8"
        elif database.name in ADMIN_DATABASES:
            why = "its name is that of greenpool's console"
        elif database.name == "*":
            why = "its name would mean any other"
        elif database.connection_limit == 0:
            why = "its connection limit is 0"
        if why is None:
            yield database.name
        else:
            left_out.append(f"database {quoted(database.name)}: {why}")


def _lonely(databases: set[str]) -> Iterator[str]:
    for name in sorted(databases):
        yield f"database {quoted(name)}: none of the roles with a pool may connect to it"


def _general(wishes: Wishes, patroni_urls: tuple[str, ...]) -> Iterator[Entry]:
    if wishes.server_tls_mode is not None:
        yield Entry("server_tls_mode", wishes.server_tls_mode.value)
    if wishes.server_tls_ca_cert is not None:
        yield Entry("server_tls_ca_cert", str(wishes.server_tls_ca_cert.absolute()))
    if patroni_urls:
        yield Entry("patroni_api_urls", patroni_urls, "The members that Patroni names.")


def _pool(
    database: str,
    members: list[Access],
    roles: Mapping[str, Role],
    sizes: Mapping[Pair, int],
    wishes: Wishes,
    passwords: Mapping[str, str],
) -> PoolOutline:
    entries = (
        Entry("server_host", wishes.server_host),
        Entry("server_port", wishes.server_port),
        Entry("pool_mode", wishes.pool_mode.value),
    )
    users = (_user(roles[each.role], sizes[database, each.role], passwords) for each in members)
    return PoolOutline(database, entries, tuple(users))


def _user(role: Role, size: int, passwords: Mapping[str, str]) -> UserOutline:
    entries = (
        Entry("username", role.name),
        Entry("password", passwords.get(role.name) or role.secret or ""),
        Entry("pool_size", size),
    )
    limit = role.connection_limit
    return UserOutline(
        entries, "" if limit is None else f"The role may have {limit} connections in all."
    )


def _notes(server: Server, wishes: Wishes, sizes: Mapping[Pair, int]) -> Iterator[str]:
    shared = budget(server, wishes.rules)
    total = sum(sizes.values())
    yield (
        f"PostgreSQL has max_connections {shared.max_connections}: {shared.for_superusers} kept "
        f"for superusers and reserved ones, {shared.for_others} left to others (--reserve), "
        f"{shared.to_share} to share. The sizes below come to {total}. docs/generate.md has the "
        "rules."
    )
    if total > shared.to_share:
        yield (
            "That is more than there are: some clients will be refused by PostgreSQL when all are "
            "busy. Leave databases or users out, or raise max_connections."
        )
    if not server.knows_secrets:
        yield "PostgreSQL does not let this role read the hashes of passwords. " + SECRETS_HINT


def _address(wishes: Wishes) -> str:
    return f"{wishes.server_host} port {wishes.server_port}"
