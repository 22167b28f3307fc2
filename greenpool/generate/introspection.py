"""Ask a PostgreSQL what it is: databases, roles, their secrets where permitted, its limits.

Law: read-only questions to shared catalogs, so that it does not matter in which database they are
asked; each has one answer for one state of the cluster. Works from PostgreSQL 10 on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from greenpool.errors import ControlError
from greenpool.generate.server import Access, Database, Role, Server
from greenpool.inquiry import Inquiry

Row = tuple[str | None, ...]

_SETTINGS = """
    select name, setting from pg_catalog.pg_settings
    where name in ('max_connections', 'reserved_connections', 'server_version_num',
                   'superuser_reserved_connections')
"""
# datconnlimit -2 marks a database whose DROP has failed half-way.
_DATABASES = """
    select datname, datconnlimit from pg_catalog.pg_database
    where datallowconn and not datistemplate and datconnlimit <> -2
"""
_ROLES = """
    select rolname, rolconnlimit, rolsuper, rolreplication,
           coalesce(rolvaliduntil <= pg_catalog.now(), false)
    from pg_catalog.pg_roles
    where rolcanlogin
"""
_MAY_READ_SECRETS = """
    select pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolname', 'select')
       and pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'select')
"""
_SECRETS = "select rolname, rolpassword from pg_catalog.pg_authid where rolpassword is not null"
# pg_shdepend says who owns (o) what or was granted (a) it: in a database, or that database itself.
_ACCESS = """
    with holders as (
        select distinct case dbid when 0 then objid else dbid end as database, refobjid as role
        from pg_catalog.pg_shdepend
        where refclassid = 'pg_catalog.pg_authid'::regclass and deptype in ('o', 'a')
          and (dbid <> 0 or classid = 'pg_catalog.pg_database'::regclass)
    )
    select d.datname, r.rolname, exists (
        select from holders h
        where h.database = d.oid and pg_catalog.pg_has_role(r.oid, h.role, 'member')
    )
    from pg_catalog.pg_database d, pg_catalog.pg_roles r
    where d.datallowconn and not d.datistemplate and r.rolcanlogin
      and pg_catalog.has_database_privilege(r.oid, d.oid, 'connect')
"""


def introspect(inquiry: Inquiry) -> Server:
    """Return what the server says of itself. Raises: Refusal, ControlError."""
    settings = _mapping(inquiry, _SETTINGS)
    databases = sorted(_rows(inquiry, _DATABASES))
    roles = sorted(_rows(inquiry, _ROLES))
    access = sorted(_rows(inquiry, _ACCESS))
    secrets = _secrets(inquiry)
    return Server(
        major=_number(settings, "server_version_num") // 10000,
        max_connections=_number(settings, "max_connections"),
        superuser_slots=_number(settings, "superuser_reserved_connections"),
        reserved_slots=int(settings.get("reserved_connections", "0")),
        knows_secrets=secrets is not None,
        databases=tuple(Database(name, _limit(limit)) for name, limit in databases),
        roles=tuple(_roles(roles, secrets or {})),
        access=tuple(Access(database, role, traces == "t") for database, role, traces in access),
    )


def _roles(rows: Iterable[tuple[str, ...]], secrets: Mapping[str, str]) -> Iterable[Role]:
    for name, limit, *flags in rows:
        is_superuser, is_replication, is_expired = (flag == "t" for flag in flags)
        yield Role(name, _limit(limit), is_superuser, is_replication, is_expired, secrets.get(name))


def _secrets(inquiry: Inquiry) -> Mapping[str, str] | None:
    """Return every role's hash; None where that is not permitted."""
    ((is_permitted,),) = _rows(inquiry, _MAY_READ_SECRETS)
    return _mapping(inquiry, _SECRETS) if is_permitted == "t" else None


def _mapping(inquiry: Inquiry, sql: str) -> dict[str, str]:
    return {row[0]: row[1] for row in _rows(inquiry, sql)}


def _rows(inquiry: Inquiry, sql: str) -> list[tuple[str, ...]]:
    """Return rows, none of whose values may be NULL."""
    rows = [tuple(value or "" for value in row) for row in inquiry.ask(sql).rows]
    if not rows and sql is not _SECRETS:
        raise ControlError("PostgreSQL gave an empty answer about its own catalogs")
    return rows


def _limit(text: str) -> int | None:
    return None if text == "-1" else int(text)


def _number(settings: Mapping[str, str], name: str) -> int:
    if name not in settings:
        raise ControlError(f'PostgreSQL does not say what its setting "{name}" is')
    return int(settings[name])
