"""A pgbouncer.ini -> the configuration of a greenpool that does the same, as far as there is one.

    [pgbouncer]            general, by the table of pgbouncer_keys.py; defaults where ours differ
    [databases]            pools
    auth_file, [users]     the users of every pool
    auth_query, auth_user  auth_query of every pool

Law: whatever is in the file is in the outline, or in its `left_out` with the reason: nothing is
passed over in silence but what nobody will miss (`HasNoEqual.harmless`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from greenpool.config import ADMIN_DATABASES, TEMPLATE, Section, is_supported
from greenpool.errors import ConfigError
from greenpool.generate.ini import Ini, Setting, pairs_of, read_ini
from greenpool.generate.outline import Entry, Literal, Outline, PoolOutline, UserOutline
from greenpool.generate.pgbouncer_keys import (
    KEYS,
    HasNoEqual,
    Means,
    addresses,
    boolean,
    number,
    seconds,
    word,
)
from greenpool.generate.text import quoted
from greenpool.generate.userlist import read_userlist

_SOCKET_DIRECTORY = "/var/run/postgresql"
_POOL_SIZE = "20"
_ASKED = "postgres"
# What a database says, what [pgbouncer] says for all, and PgBouncer's default.
_SIZES = (("pool_size", "default_pool_size", _POOL_SIZE), ("min_pool_size", "min_pool_size", "0"))
_AUTH_QUERY = "SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename=$1"
_SCRAM = "SCRAM-SHA-256$"
_RULES: Mapping[str, str] = {
    "trust": "local all all trust\nhost all all all trust\n",
    "scram-sha-256": "local all all scram-sha-256\nhost all all all scram-sha-256\n",
    "cert": "hostssl all all all cert\n",
    "pam": "local all all pam\nhost all all all pam\n",
}
"""pg_hba for an auth_type. md5 and plain need none: whoever has a password is asked for it."""
_BY_SECRET = frozenset(("md5", "plain", "hba"))
_ASKING = _BY_SECRET | {"scram-sha-256"}
# What a connection string may say, and the key of a pool that says it.
_DATABASE_KEYS: Mapping[str, tuple[str, Callable[[str], Literal]]] = {
    "port": ("server_port", number),
    "dbname": ("server_database", word),
    "pool_mode": ("pool_mode", word),
    "max_db_connections": ("max_db_connections", number),
    "server_lifetime": ("server_lifetime", seconds),
    "load_balance_hosts": ("load_balance_hosts", word),
}
_PARAMETERS = ("client_encoding", "datestyle", "timezone")
# fmt: off
_OWN = frozenset(
    (
        "host", "user", "password", "pool_size", "min_pool_size", "auth_user", "auth_query",
        "auth_dbname",
    )
)
# fmt: on
# What a line of [users] may say, and the key of a user that says it.
_USER_KEYS: Mapping[str, tuple[str, Callable[[str], Literal]]] = {
    "pool_size": ("pool_size", number),
    "pool_mode": ("pool_mode", word),
    "server_lifetime": ("server_lifetime", seconds),
    "query_timeout": ("query_timeout", seconds),
    "max_user_client_connections": ("max_client_connections", number),
}
# Settings of [pgbouncer] that the functions below look at themselves.
# fmt: off
_SPECIAL = frozenset(
    (
        "auth_type", "auth_file", "auth_user", "auth_query", "auth_dbname", "auth_ldap_options",
        "default_pool_size", "min_pool_size", "admin_users", "stats_users", "tcp_keepalive",
        "tcp_keepidle", "syslog", "syslog_ident", "max_prepared_statements",
    )
)
# fmt: on


def translate(path: Path) -> Outline:
    """Return the outline of a pgbouncer.ini. Raises: ConfigError."""
    return _Translation(read_ini(path), path).outline()


@dataclass(slots=True)
class _Translation:
    """One file on its way; `left_out` grows."""

    ini: Ini
    path: Path
    left_out: list[str] = field(default_factory=list)

    def outline(self) -> Outline:
        secrets = self._secrets()
        general = tuple(self._general(secrets))
        pools = tuple(self._pools(secrets))
        for name in self.ini.sections.keys() - {"pgbouncer", "databases", "users"}:
            self.left_out.append(f"section [{name}]: it has no equal")
        return Outline(
            f"PgBouncer's {self.path}", general, pools, left_out=tuple(dict.fromkeys(self.left_out))
        )

    # -- [pgbouncer] --------------------------------------------------------------------------

    def _general(self, secrets: Mapping[str, str]) -> Iterator[Entry]:
        yield from self._by_table(Section.GENERAL)
        for name, setting in self._settings.items():
            rule = KEYS.get(name)
            if isinstance(rule, HasNoEqual) and not rule.harmless:
                self._leave(setting, f"{name}: {rule.why}")
            elif rule is None and name not in _SPECIAL:
                self._leave(setting, f"{name}: not known to this version of greenpool")
        yield from self._keepalive()
        yield from self._logging()
        yield from self._statements()
        yield from self._rules()
        yield from self._admin(secrets)
        yield from self._stats_users(secrets)

    def _by_table(self, section: Section) -> Iterator[Entry]:
        for name, rule in KEYS.items():
            if not isinstance(rule, Means) or rule.section is not section:
                continue
            setting = self._settings.get(name)
            if setting is None:
                if rule.default is not None:
                    value = rule.convert(rule.default)
                    yield Entry(rule.key, value, "PgBouncer's default.")
            elif setting.value or rule.convert is addresses:  # nothing: not set
                value = _converted(rule.convert, setting.value, name, setting.place)
                yield Entry(rule.key, value)

    def _keepalive(self) -> Iterator[Entry]:
        is_on = self._read(boolean, "tcp_keepalive", "1")
        idle = self._settings.get("tcp_keepidle")
        if not is_on:
            yield Entry("tcp_keepalives_idle", 0)
        elif idle is not None:
            yield Entry("tcp_keepalives_idle", self._read(number, "tcp_keepidle", ""))

    def _logging(self) -> Iterator[Entry]:
        if self._read(boolean, "syslog", "0"):
            yield Entry("syslog_prog_name", self._value("syslog_ident", "pgbouncer"))

    def _statements(self) -> Iterator[Entry]:
        if "max_prepared_statements" not in self._settings:
            return
        count = self._read(number, "max_prepared_statements", "0")
        if count == 0:
            yield Entry("prepared_statements", False)
        else:
            yield Entry("prepared_statements_cache_size", count)

    def _rules(self) -> Iterator[Entry]:
        kind = self._value("auth_type", "md5")
        if kind in _RULES:
            yield Entry("pg_hba", {"content": _RULES[kind]}, f"auth_type {kind}.")
        elif kind == "ldap":
            options = self._value("auth_ldap_options", "")
            yield Entry("pg_hba", {"content": f"host all all all ldap {options}\n"})
        elif kind not in _BY_SECRET:
            self._leave(self._settings["auth_type"], f"auth_type {kind}: no rule says the same")

    def _admin(self, secrets: Mapping[str, str]) -> Iterator[Entry]:
        first, _, others = self._value("admin_users", "").partition(",")
        if not first.strip():
            return
        yield Entry("admin_username", first.strip())
        if secrets.get(first.strip()):
            yield Entry("admin_password", secrets[first.strip()])
        if others.strip():
            self._leave(self._settings["admin_users"], "admin_users: the console has one user")

    def _stats_users(self, secrets: Mapping[str, str]) -> Iterator[Entry]:
        known = []
        for name in dict.fromkeys(map(str.strip, self._value("stats_users", "").split(","))):
            if secrets.get(name):
                known.append({"username": name, "password": secrets[name]})
            elif name:
                why = f"stats_users: there is no password of {quoted(name)}"
                self._leave(self._settings["stats_users"], why)
        if known:
            yield Entry("stats_users", tuple(known))

    # -- [databases] --------------------------------------------------------------------------

    def _pools(self, secrets: Mapping[str, str]) -> Iterator[PoolOutline]:
        common = tuple(self._by_table(Section.POOL))
        for name, setting in self.ini.section("databases").items():
            if name in ADMIN_DATABASES:
                self._leave(setting, f"database {quoted(name)}: it is greenpool's console")
            else:
                yield self._pool(name, setting, common, secrets)

    def _pool(
        self, name: str, setting: Setting, common: tuple[Entry, ...], secrets: Mapping[str, str]
    ) -> PoolOutline:
        pairs = pairs_of(setting)
        entries = {entry.name: entry for entry in (*self._server(pairs, setting), *common)}
        for key, text in pairs.items():
            if key in _DATABASE_KEYS:
                target, convert = _DATABASE_KEYS[key]
                entries[target] = Entry(target, _converted(convert, text, key, setting.place))
            elif key not in _OWN and key not in _PARAMETERS:
                self._leave(setting, f"database {quoted(name)}: {key} has no equal")
        parameters = {key: pairs[key] for key in _PARAMETERS if key in pairs}
        if parameters:
            entries["startup_parameters"] = Entry("startup_parameters", parameters)
        forced = tuple(self._forced(pairs, secrets, setting))
        return PoolOutline(
            name,
            tuple(entries.values()),
            tuple(self._users(pairs, secrets, forced, setting)),
            tuple(self._auth_query(name, pairs, secrets, setting)),
        )

    def _server(self, pairs: Mapping[str, str], setting: Setting) -> Iterator[Entry]:
        hosts = tuple(filter(None, pairs.get("host", "").split(",")))
        if not hosts:
            directory = self._value("unix_socket_dir", _SOCKET_DIRECTORY)
            yield Entry("server_host", directory, "No host: PgBouncer looks for a UNIX socket.")
        elif len(hosts) > 1 and is_supported(Section.POOL, "server_hosts", hosts):
            yield Entry("server_hosts", hosts)
        else:
            yield Entry("server_host", hosts[0])
            if len(hosts) > 1:
                self._leave(setting, f"host: all but the first of {', '.join(hosts)}")

    # -- users ----------------------------------------------------------------------------------

    def _users(
        self,
        pairs: Mapping[str, str],
        secrets: Mapping[str, str],
        forced: tuple[Entry, ...],
        setting: Setting,
    ) -> Iterator[UserOutline]:
        """Yield the users of a database: in PgBouncer all are users of all."""
        size, least = (
            _converted(number, pairs[name], name, setting.place)
            if name in pairs
            else self._read(number, general, default)
            for name, general, default in _SIZES
        )
        asks = self._value("auth_type", "md5") in _ASKING
        for user in dict.fromkeys((*secrets, *self.ini.section("users"))):
            secret = secrets.get(user)
            if not secret and asks:
                continue  # nothing to ask for: it would be let in
            entries = {"username": Entry("username", user)}
            if secret:
                entries["password"] = Entry("password", secret)
            entries["pool_size"] = Entry("pool_size", size)
            if least != 0:
                entries["min_pool_size"] = Entry("min_pool_size", least)
            entries.update((entry.name, entry) for entry in (*self._own(user), *forced))
            yield UserOutline(tuple(entries.values()))

    def _own(self, user: str) -> Iterator[Entry]:
        """Yield what [users] says of a user."""
        setting = self.ini.section("users").get(user)
        if setting is None:
            return
        for name, text in pairs_of(setting).items():
            if name in _USER_KEYS:
                key, convert = _USER_KEYS[name]
                yield Entry(key, _converted(convert, text, name, setting.place))
            else:
                self._leave(setting, f"user {quoted(user)}: {name} has no equal")

    def _auth_query(
        self, name: str, pairs: Mapping[str, str], secrets: Mapping[str, str], setting: Setting
    ) -> Iterator[Entry]:
        user = pairs.get("auth_user") or self._value("auth_user", "")
        if not user:
            return
        query = pairs.get("auth_query") or self._value("auth_query", _AUTH_QUERY)
        # PgBouncer takes the columns by their places, greenpool by their names.
        inner = query.strip().rstrip(";")
        yield Entry("query", f"SELECT found.password FROM ({inner}) AS found (username, password)")
        yield Entry("user", user)
        yield from self._login("password", user, secrets.get(user), setting)
        database = pairs.get("auth_dbname") or self._value("auth_dbname", "")
        if database:
            yield Entry("database", database)
        elif name == TEMPLATE:
            yield Entry("database", _ASKED, "PgBouncer asks in the database of each client.")
        yield Entry("pool_size", self._read(number, "default_pool_size", _POOL_SIZE))
        for entry in self._forced(pairs, secrets, setting):
            yield Entry(entry.name.replace("username", "user"), entry.value)

    def _forced(
        self, pairs: Mapping[str, str], secrets: Mapping[str, str], setting: Setting
    ) -> Iterator[Entry]:
        """Yield whom clients become at the server, where the database says it."""
        if "user" in pairs:
            yield Entry("server_username", pairs["user"])
            secret = pairs.get("password") or secrets.get(pairs["user"])
            yield from self._login("server_password", pairs["user"], secret, setting)

    def _login(self, key: str, user: str, secret: str | None, setting: Setting) -> Iterator[Entry]:
        """Yield what the server is shown; a SCRAM secret proves nothing there."""
        if secret and secret.startswith(_SCRAM):
            self._leave(setting, f"user {quoted(user)}: a SCRAM secret cannot log in, set {key}")
        elif secret:
            yield Entry(key, secret)

    def _secrets(self) -> Mapping[str, str]:
        named = self._value("auth_file", "")
        return read_userlist(self.path.parent / named) if named else {}

    # -- what all of them use -------------------------------------------------------------------

    @property
    def _settings(self) -> Mapping[str, Setting]:
        return self.ini.section("pgbouncer")

    def _value(self, name: str, default: str) -> str:
        setting = self._settings.get(name)
        return setting.value if setting is not None and setting.value else default

    def _read(self, convert: Callable[[str], Literal], name: str, default: str) -> Literal:
        setting = self._settings.get(name)
        place = setting.place if setting is not None else ""
        return _converted(convert, self._value(name, default), name, place)

    def _leave(self, setting: Setting, what: str) -> None:
        self.left_out.append(f"{setting.place}: {what}")


def _converted(convert: Callable[[str], Literal], text: str, name: str, place: str) -> Literal:
    try:
        return convert(text)
    except ValueError as exc:
        raise ConfigError([f"{place}: {name}: {exc}"]) from None
