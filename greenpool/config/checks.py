"""What no key can check alone: settings against each other, against the machine, and warnings.

Law: a check blames a setting that stands in a file wherever one does; defaults fit together.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

from greenpool.config.choices import ServerTlsMode, TlsMode
from greenpool.config.hba.kinds import InvalidRules
from greenpool.config.hba.rule import ConnectionType, HbaRules
from greenpool.config.kinds import did_you_mean
from greenpool.config.members import LOOKUP_USER
from greenpool.config.model import (
    TEMPLATE,
    AuthQuery,
    Config,
    General,
    Parameters,
    Pool,
    User,
    Web,
)
from greenpool.config.named_kinds import NAME_BYTES
from greenpool.config.section import Setting, Settings
from greenpool.config.tree import Mark, Problems

ADMIN_DATABASES = frozenset(("greenpool", "pgbouncer", "pgdoorman"))
DEFAULT_ADMIN_PASSWORD = "admin"
_SOCKET_PATH_BYTES = 107  # struct sockaddr_un's sun_path, without its final zero
_CLIENT_VERIFYING = frozenset((TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL))
_SERVER_VERIFYING = frozenset((ServerTlsMode.VERIFY_CA, ServerTlsMode.VERIFY_FULL))
_PAIRS = (
    ("tls_certificate", "tls_private_key"),
    ("tls_private_key", "tls_certificate"),
)
# PostgreSQL refuses startup packets above 10000 bytes; names and our own parameters need some.
_PARAMETERS_BYTES = 9000


def check_general(general: General, settings: Settings, start: Mark, problems: Problems) -> None:
    """Check what greenpool listens on."""
    if general.unix_socket_dir is None:
        if not general.host:
            mark = settings["host"].mark if "host" in settings else start
            what = "nothing to listen on: the list is empty and unix_socket_dir is not set"
            problems.add(mark, "general.host", what)
    elif "unix_socket_dir" in settings:
        mark, path = settings["unix_socket_dir"].mark, settings["unix_socket_dir"].path
        socket = general.unix_socket_dir / f".s.PGSQL.{general.port}"
        if not os.path.isdir(general.unix_socket_dir):
            problems.add(mark, path, f'there is no directory "{general.unix_socket_dir}"')
        elif len(bytes(socket)) > _SOCKET_PATH_BYTES:
            what = f'"{socket}" is longer than the {_SOCKET_PATH_BYTES} bytes of a socket name'
            problems.add(mark, path, what)
    _check_parameters(general.startup_parameters, settings, problems)
    _check_client_tls(general, settings, problems)
    _check_server_tls(general, settings, problems)
    _check_access(general, settings, problems)
    _check_stats_users(general, settings, problems)


def _check_stats_users(general: General, settings: Settings, problems: Problems) -> None:
    """Check that nobody is the admin as well."""
    if any(user.username == general.admin_username for user in general.stats_users):
        setting = settings["stats_users"]
        what = f'"{general.admin_username}" is the admin'
        problems.add(setting.mark, setting.path, what)


def check_web(web: Web, settings: Settings, problems: Problems) -> None:
    """Check that there is something to serve on."""
    if web.enabled and not web.host:  # not the default: it must have been set
        setting = settings["host"]
        problems.add(setting.mark, setting.path, "nothing to serve on: the list is empty")


def _check_access(general: General, settings: Settings, problems: Problems) -> None:
    """Check that only one list of rules is given, and that the maps it names are there."""
    if general.pg_hba is None:
        return
    if general.hba:
        setting = settings["hba"]
        problems.add(setting.mark, setting.path, 'cannot stand beside "pg_hba"')
    maps = {each.map for each in general.pg_ident}
    setting = settings["pg_hba"]
    for rule in general.pg_hba:
        name = rule.options.get("map")
        if name is not None and name not in maps:
            what = f'there is no map "{name}" in pg_ident' + did_you_mean(name, maps)
            for mark, problem in InvalidRules([(rule.mark, what)]).each(setting.mark):
                problems.add(mark, setting.path, problem)


def check_pool_name(name: str, mark: Mark, path: str, problems: Problems) -> None:
    """Check that clients can ask for a database of this name and get this pool."""
    size = len(name.encode())
    if not name:
        problems.add(mark, path, "the name of a pool is empty")
    elif size > NAME_BYTES:
        what = f"the name is {size} bytes long; a PostgreSQL name has at most {NAME_BYTES}"
        problems.add(mark, path, what)
    elif "\0" in name:
        problems.add(mark, path, "the name contains a zero byte")
    elif name in ADMIN_DATABASES:
        problems.add(mark, path, f'"{name}" is the database of the admin console')


def check_pool(pool: Pool, settings: Settings, mark: Mark, path: str, problems: Problems) -> None:
    """Check that somebody can use the pool."""
    blamed = problems.blames(f"{path}.users") or problems.blames(f"{path}.auth_query")
    if not pool.users and pool.auth_query is None and not blamed:
        problems.add(mark, path, "has no users")
    _check_parameters(pool.startup_parameters, settings, problems)
    _check_server_tls(pool, settings, problems)


def check_user(user: User, settings: Settings, path: str, problems: Problems) -> None:
    """Check a user's sizes, and that one thing alone says how it is known."""
    _check_sizes(user, settings, path, problems)
    _check_name(user.username, settings["username"], problems)
    ways = [name for name in ("password", "auth_pam_service", "auth_ldap") if name in settings]
    for name in ways[1:]:
        what = f'cannot stand beside "{ways[0]}"'
        problems.add(settings[name].mark, settings[name].path, what)
    if user.server_password_command and user.server_password is not None:
        setting = settings["server_password_command"]
        problems.add(setting.mark, setting.path, 'cannot stand beside "server_password"')
    _check_parameters(user.startup_parameters, settings, problems)


def check_auth_query(
    auth_query: AuthQuery,
    users: Container[str],
    settings: Settings,
    mark: Mark,
    path: str,
    problems: Problems,
) -> None:
    """Check the sizes of found users' pools, who logs in for them, and where to ask."""
    _check_sizes(auth_query, settings, path, problems)
    if auth_query.database == TEMPLATE:
        what = "needs database: the template has none of its own to ask"
        problems.add(mark, path, what)
    if "$1" not in auth_query.query:
        what = "does not ask about $1, the name of the user"
        problems.add(settings["query"].mark, settings["query"].path, what)
    if auth_query.server_user in users:
        setting = settings["server_user"]
        what = f'"{auth_query.server_user}" is in users: found users need a pool of their own'
        problems.add(setting.mark, setting.path, what)
    if auth_query.server_user is not None:
        _check_name(auth_query.server_user, settings["server_user"], problems)
    if "server_password" in settings and auth_query.server_user is None:
        setting = settings["server_password"]
        problems.add(setting.mark, setting.path, "needs server_user beside it")


def with_warnings(config: Config, ignored: Sequence[str]) -> Config:
    """Return the configuration with its warnings."""
    return replace(config, warnings=tuple(_warnings(config, ignored)))


def _warnings(config: Config, ignored: Sequence[str]) -> Iterator[str]:
    if ignored:
        yield f"ignored, because they have no meaning here: {', '.join(ignored)}"
    yield from _exposed_keys(config)
    yield from _limits_that_do_nothing(config)
    general = config.general
    if general.admin_password == DEFAULT_ADMIN_PASSWORD and _is_reachable(general):
        yield (
            f'general.admin_password is "{DEFAULT_ADMIN_PASSWORD}": nobody can log in to the '
            "admin console over the network until it is changed"
        )
    if general.pg_hba is not None:
        yield from _warnings_of_rules(general, general.pg_hba)
        return
    if not _is_reachable(general):
        return
    for pool in config.pools.values():
        names = [user.username for user in pool.users.values() if user.is_trusting]
        if names:
            yield (
                f"pools.{pool.name}: anyone who can connect can log in as these users, who have "
                f"no password: {', '.join(names)}"
            )


def _limits_that_do_nothing(config: Config) -> Iterator[str]:
    """Name what max_db_connections gives a meaning to, or makes impossible."""
    for pool in config.pools.values():
        limit, guarantee = pool.max_db_connections, pool.min_guaranteed_pool_size
        if pool.reserve_pool_size and not limit:
            yield f"pools.{pool.name}: reserve_pool_size means nothing without max_db_connections"
        if limit and guarantee * len(pool.users) > limit:
            yield (
                f"pools.{pool.name}: max_db_connections {limit} does not hold "
                f"min_guaranteed_pool_size {guarantee} for each of {len(pool.users)} users"
            )


def _warnings_of_rules(general: General, rules: HbaRules) -> Iterator[str]:
    """Name the rules that no client can meet."""
    if general.tls_certificate is not None:
        return
    for rule in rules:
        if rule.type is ConnectionType.HOSTSSL:
            place = f"{rule.mark.file or 'general.pg_hba'}:{rule.mark.line}"
            yield f"{place}: a hostssl rule matches nobody while tls_certificate is not set"


def _check_client_tls(general: General, settings: Settings, problems: Problems) -> None:
    """Check that each of the TLS settings has what it needs beside it."""
    mode, is_verifying = general.tls_mode, general.tls_mode in _CLIENT_VERIFYING
    if mode not in (TlsMode.DISABLE, TlsMode.ALLOW):
        _need("tls_mode", "tls_certificate", general, settings, problems)
    if is_verifying:
        _need("tls_mode", "tls_ca_cert", general, settings, problems)
    for name, other in _PAIRS:
        _need(name, other, general, settings, problems)


def _check_server_tls(where: General | Pool, settings: Settings, problems: Problems) -> None:
    if where.server_tls_mode in _SERVER_VERIFYING:
        _need("server_tls_mode", "server_tls_ca_cert", where, settings, problems)
    for name, other in _PAIRS:
        _need(f"server_{name}", f"server_{other}", where, settings, problems)


def _need(
    name: str, other: str, where: General | Pool, settings: Settings, problems: Problems
) -> None:
    """Blame a setting of this section that cannot stand without another, here or inherited."""
    setting = settings.get(name)
    if setting is None or setting.value is None or getattr(where, other) is not None:
        return
    stem = setting.path.rpartition(".")[0]
    if not problems.blames(f"{stem}.{other}"):
        said = f'"{setting.value}"' if name.endswith("mode") else "it"
        problems.add(setting.mark, setting.path, f"{said} needs {other} beside it")


def _exposed_keys(config: Config) -> Iterator[str]:
    general = config.general
    keys = [("general.tls_private_key", general.tls_private_key)]
    keys += [("general.server_tls_private_key", general.server_tls_private_key)]
    for pool in config.pools.values():
        if pool.server_tls_private_key != general.server_tls_private_key:
            keys += [(f"pools.{pool.name}.server_tls_private_key", pool.server_tls_private_key)]
    return (f'{path}: everyone can read "{key}"' for path, key in keys if key and key.is_exposed)


def _is_reachable(general: General) -> bool:
    """Say whether greenpool listens where other machines may reach it."""
    return any(not ipaddress.ip_address(host).is_loopback for host in general.host)


def _check_name(name: str, setting: Setting, problems: Problems) -> None:
    if name == LOOKUP_USER:
        problems.add(setting.mark, setting.path, f'"{name}" is reserved for auth_query')


def _check_sizes(
    sized: User | AuthQuery, settings: Settings, path: str, problems: Problems
) -> None:
    name, size = "pool_size", sized.pool_size
    if isinstance(sized, AuthQuery) and sized.default_pool_size is not None:
        name, size = "default_pool_size", sized.default_pool_size
    if sized.min_pool_size > size and not problems.blames(f"{path}.{name}"):
        setting = settings["min_pool_size"]  # its default is 0: it must have been set
        what = f"{sized.min_pool_size} is above {name} {size}"
        problems.add(setting.mark, setting.path, what)


def _check_parameters(parameters: Parameters, settings: Settings, problems: Problems) -> None:
    """Check that inherited and own settings together fit into a startup packet."""
    setting = settings.get("startup_parameters")
    size = sum(len(name.encode()) + len(value.encode()) + 2 for name, value in parameters)
    if setting is not None and size > _PARAMETERS_BYTES:
        what = f"{size} bytes are more than the {_PARAMETERS_BYTES} that fit into a startup packet"
        problems.add(setting.mark, setting.path, what)
