"""How clients ask for the console, and what it says of itself when they have logged in."""

from __future__ import annotations

from collections.abc import Mapping

from greenpool import __version__

ADMIN_DATABASES = frozenset(("greenpool", "pgbouncer", "pgdoorman"))
"""The database names that mean the console."""

VERSION = f"greenpool {__version__}"

WELCOME_PARAMETERS: Mapping[str, str] = {
    "server_version": f"{__version__}/greenpool",
    "server_encoding": "UTF8",
    "client_encoding": "UTF8",
    "DateStyle": "ISO",
    "TimeZone": "UTC",
    "integer_datetimes": "on",
    "standard_conforming_strings": "on",
    "is_superuser": "on",
}
"""The ParameterStatus messages of the console's login. Its version is greenpool's, in the form of
PgBouncer's: a client that believed in a PostgreSQL here would ask for its catalogs."""
