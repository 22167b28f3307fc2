"""TLS contexts from the configuration: one for clients, one for each way to meet servers.

Made when a worker starts and again at a reload, where a setting or a file has changed; sessions
that are there keep the old one. The master makes them too, to see whether they can be made, before
it lets a configuration in force. Source: "Secure TCP/IP Connections with SSL", libpq "SSL Support".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from greenpool.config import Config, General, PemFile, Pool, ServerTlsMode, TlsMode
from greenpool.errors import ConfigError
from greenpool.tls import SECRET_BYTES, OwnCertificate, TlsContext, TlsError

_CLIENT_VERIFYING = frozenset({TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL})
_SERVER_VERIFYING = frozenset({ServerTlsMode.VERIFY_CA, ServerTlsMode.VERIFY_FULL})

SLOW_KEY_BITS = 2048
"""RSA keys longer than this sign in a thread (measurements: docs/tls.md)."""

_DAY_S = 86400
SOON_S = 14 * _DAY_S
"""Certificates that end within this time are warned about at each start and reload."""

Identity = tuple[object, ...]


class TlsContexts:
    """The contexts of one worker. `apply` is the one mutator."""

    __slots__ = ("_client_identity", "_secret", "_servers", "clients", "is_slow")

    def __init__(self, secret: bytes) -> None:
        self._secret = hashlib.blake2b(secret, digest_size=32, person=b"tls tickets").digest()
        self._client_identity: Identity = ()
        self._servers: dict[Identity, TlsContext] = {}
        self.clients: TlsContext | None = None
        """What clients are offered; None: nothing."""
        self.is_slow = False
        """Whether a handshake with a client takes so much CPU that it belongs in a thread."""

    def apply(self, config: Config) -> None:
        """Serve this configuration from now on. Raises: TlsError; it has been checked before."""
        general = config.general
        identity = _client_identity(general)
        if identity != self._client_identity:
            self.clients = _client_context(general, self._secret, _raise)
            self._client_identity = identity
            own = self.clients.own if self.clients is not None else None
            self.is_slow = own is not None and own.key_is_rsa and own.key_bits > SLOW_KEY_BITS
        old, self._servers = self._servers, {}
        for pool in config.pools.values():
            identity = _server_identity(pool)
            if pool.server_tls_mode is not ServerTlsMode.DISABLE and identity not in self._servers:
                self._servers[identity] = old.get(identity) or _server_context(pool, _raise)

    def of(self, pool: Pool) -> TlsContext:
        """Return the context for a pool's servers.

        A login that a reload has overtaken gets one for what it began with.
        """
        return self._servers.get(_server_identity(pool)) or _server_context(pool, _raise)


def check(config: Config, now_s: float) -> tuple[str, ...]:
    """See whether all contexts can be made; return warnings about certificates that end soon.

    `now_s`: seconds of the calendar. Raises: ConfigError that names each bad file.
    """
    problems: dict[str, None] = {}
    warnings: dict[str, None] = {}

    def note(path: str, what: object, exc: TlsError) -> None:
        problems[f'{path}: "{what}": {exc}'] = None

    def look(path: str, context: TlsContext | None, file: PemFile | None) -> None:
        own = context.own if context is not None else None
        if own is not None and (words := _ending(own, now_s)):
            warnings[f'{path}: "{file}" {words}'] = None

    general = config.general
    clients = _client_context(general, bytes(SECRET_BYTES), note)
    look("general.tls_certificate", clients, general.tls_certificate)
    for pool in config.pools.values():
        if pool.server_tls_mode is not ServerTlsMode.DISABLE:
            context = _server_context(pool, note)
            path = f"pools.{pool.name}.server_tls_certificate"
            look(path, context, pool.server_tls_certificate)
    if problems:
        raise ConfigError(problems)
    return tuple(warnings)


def _ending(own: OwnCertificate, now_s: float) -> str:
    """Word what is wrong with a certificate's time, if anything."""
    if now_s < own.not_before_s:
        return "is not valid yet"
    if now_s >= own.not_after_s:
        return "has expired"
    left_s = own.not_after_s - now_s
    return f"expires in {left_s / _DAY_S:.1f} days" if left_s < SOON_S else ""


OnProblem = Callable[[str, object, TlsError], None]


def _raise(_path: str, _what: object, exc: TlsError) -> None:
    raise exc


def _client_identity(general: General) -> Identity:
    return (
        (general.tls_mode, general.tls_certificate, general.tls_private_key, general.tls_ca_cert),
        (general.tls_min_version, general.tls_ciphers, general.tls13_ciphers),
    )


def _server_identity(pool: Pool) -> Identity:
    files = (pool.server_tls_ca_cert, pool.server_tls_certificate, pool.server_tls_private_key)
    return (pool.server_tls_mode in _SERVER_VERIFYING, pool.server_tls_mode, *files)


def _client_context(general: General, secret: bytes, note: OnProblem) -> TlsContext | None:
    if general.tls_mode is TlsMode.DISABLE or general.tls_certificate is None:
        return None
    context = TlsContext(is_server=True)
    _add_own(context, "general.tls_", general.tls_certificate, general.tls_private_key, note)
    if general.tls_ca_cert is not None:
        _add_authorities(context, "general.tls_ca_cert", general.tls_ca_cert, note)
    else:
        context.set_tickets(secret)
    least = general.tls_min_version
    lists = (
        ("general.tls_ciphers", general.tls_ciphers, None),
        ("general.tls13_ciphers", None, general.tls13_ciphers),
    )
    for path, ciphers, suites in lists:
        try:
            context.set_versions(least, ciphers, suites)
        except TlsError as exc:
            note(path, ciphers or suites, exc)
    return context


def _server_context(pool: Pool, note: OnProblem) -> TlsContext:
    stem = f"pools.{pool.name}.server_tls_"
    context = TlsContext(is_server=False)
    if pool.server_tls_certificate is not None:
        _add_own(context, stem, pool.server_tls_certificate, pool.server_tls_private_key, note)
    if pool.server_tls_ca_cert is not None and is_verified(pool):
        _add_authorities(context, f"{stem}ca_cert", pool.server_tls_ca_cert, note)
    return context


def is_verified(pool: Pool) -> bool:
    """Whether servers must show a certificate of a known authority.

    As libpq does it, `require` verifies too where authorities are named.
    """
    mode = pool.server_tls_mode
    return mode in _SERVER_VERIFYING or (
        mode is ServerTlsMode.REQUIRE and pool.server_tls_ca_cert is not None
    )


def is_demanded_of_clients(general: General) -> bool:
    """Whether clients must speak TLS."""
    return general.tls_mode not in (TlsMode.DISABLE, TlsMode.ALLOW)


def is_certificate_demanded(general: General) -> bool:
    """Whether clients must show a certificate."""
    return general.tls_mode in _CLIENT_VERIFYING


def is_name_demanded(general: General) -> bool:
    """Whether the common name of that certificate must be the user's."""
    return general.tls_mode is TlsMode.VERIFY_FULL


def _add_own(
    context: TlsContext, stem: str, certificate: PemFile, key: PemFile | None, note: OnProblem
) -> None:
    parts = (
        ("certificate", certificate, context.set_certificate),
        ("private_key", key, context.set_key),
    )
    for name, file, use in parts:
        if file is None:
            continue  # the configuration has been blamed for that
        try:
            use(file.text)
        except TlsError as exc:
            note(f"{stem}{name}", file, exc)
            return


def _add_authorities(context: TlsContext, path: str, file: PemFile, note: OnProblem) -> None:
    try:
        context.set_authorities(file.text)
    except TlsError as exc:
        note(path, file, exc)
