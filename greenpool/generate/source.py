"""Whom to introspect, and how to get there: the options and the environment -> an outline."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from greenpool.auth.secret import PlainPassword
from greenpool.errors import ControlError
from greenpool.generate.draft import Wishes, draft
from greenpool.generate.introspection import introspect
from greenpool.generate.outline import Outline
from greenpool.generate.password import find_password
from greenpool.generate.patroni import PatroniError, default_url, member_urls
from greenpool.generate.server import Server
from greenpool.generate.userlist import read_userlist
from greenpool.inquiry import Encryption, Inquiry, Target

_PORT = 5432


@dataclass(frozen=True, slots=True)
class Source:
    """Where PostgreSQL is, and as whom to ask it; None: as the environment says (PGHOST...)."""

    host: str | None = None
    port: int | None = None
    user: str | None = None
    database: str | None = None
    password_file: Path | None = None
    userlist: Path | None = None
    patroni_urls: tuple[str, ...] = ()
    encryption: Encryption = field(default_factory=Encryption)

    def find(self, environ: Mapping[str, str]) -> Place:
        """Return the place, with what the environment says. Raises: ControlError."""
        host = self.host or environ.get("PGHOST", "")
        try:
            port = self.port or int(environ.get("PGPORT") or _PORT)
        except ValueError:
            raise ControlError(f'PGPORT is "{environ["PGPORT"]}", which is no port') from None
        user = self.user or environ.get("PGUSER") or getpass.getuser()
        database = self.database or environ.get("PGDATABASE") or "postgres"
        password = find_password(self.password_file, environ, (host, port), (database, user))
        return Place(host, port, user, database, password)


@dataclass(frozen=True, slots=True)
class Place:
    """A PostgreSQL and how to log in there."""

    host: str
    port: int
    user: str
    database: str
    password: str | None = field(repr=False)


def outline_of_server(source: Source, place: Place, wishes: Wishes) -> Outline:
    """Introspect PostgreSQL, and Patroni if it answers. Raises: ControlError, ConfigError."""
    passwords = read_userlist(source.userlist) if source.userlist is not None else {}
    server = _introspect(source, place)
    return draft(server, wishes, passwords, _patroni(source, place))


def _introspect(source: Source, place: Place) -> Server:
    is_socket = place.host.startswith("/")
    target = Target(
        what="PostgreSQL",
        address=f"{place.host}/.s.PGSQL.{place.port}" if is_socket else (place.host, place.port),
        user=place.user,
        database=place.database,
        credential=None if place.password is None else PlainPassword(place.password),
        application_name="greenpool generate",
        encryption=source.encryption,
    )
    with closing(Inquiry(target)) as inquiry:
        return introspect(inquiry)


def _patroni(source: Source, place: Place) -> tuple[str, ...]:
    """Ask Patroni. One that was named must answer: else its outage would change the result."""
    if source.patroni_urls:
        return member_urls(source.patroni_urls)
    try:
        return member_urls([default_url(place.host)])
    except PatroniError:  # there is none
        return ()
