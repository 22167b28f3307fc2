"""A loaded configuration: frozen, typed, with every override resolved.

Law: values and defaults come from the table (table.py) alone, so nothing here has a default;
a test holds names and types against the table. Units are in the names. Secrets are not in reprs.
None means "not set" where the key's sentence says what that means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from greenpool.config.choices import (
    IoBackend,
    LoadBalanceHosts,
    LogFormat,
    LogLevel,
    PoolMode,
    ServerTlsMode,
    SessionState,
    TargetSessionAttrs,
    TlsMode,
    TlsVersion,
)
from greenpool.config.hba.parse import no_rules
from greenpool.config.hba.rule import HbaRules, IdentRules
from greenpool.config.jwt_keys import JwtKeys
from greenpool.config.pem import PemFile
from greenpool.config.stats_users import StatsUsers

Parameters: TypeAlias = "tuple[tuple[str, str], ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """What general says for every pool and a pool may say for itself."""

    connect_timeout_ms: int
    query_wait_timeout_ms: int
    query_wait_notify_ms: int
    idle_timeout_ms: int
    server_lifetime_ms: int
    server_idle_check_timeout_ms: int
    retain_connections_time_ms: int
    retain_connections_max: int
    client_idle_timeout_ms: int
    idle_transaction_timeout_ms: int
    transaction_timeout_ms: int
    query_timeout_ms: int
    proxy_copy_data_timeout_ms: int
    client_write_timeout_ms: int
    cancel_wait_timeout_ms: int
    scaling_warm_pool_ratio: int
    scaling_max_parallel_creates: int
    scaling_fast_retries: int
    server_round_robin: bool
    prepared_statements: bool
    prepared_statements_cache_size: int
    server_prepared_statements_cache_size: int | None
    deferred_begin: bool
    session_state: SessionState
    startup_parameters: Parameters
    pooler_check_query: str
    server_tls_mode: ServerTlsMode
    server_tls_ca_cert: PemFile | None
    server_tls_certificate: PemFile | None
    server_tls_private_key: PemFile | None
    patroni_api_urls: tuple[str, ...]
    patroni_api_timeout_ms: int
    fallback_cooldown_ms: int
    fallback_connect_timeout_ms: int
    fallback_lifetime_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class General(Inherited):
    """The `general` section."""

    host: tuple[str, ...]
    port: int
    unix_socket_dir: Path | None
    unix_socket_mode: int
    backlog: int
    workers: int
    worker_cpu_affinity_pinning: bool
    io_backend: IoBackend
    pid_file: Path | None
    user: str | None
    core_dumps: bool
    log_level: LogLevel
    log_format: LogFormat
    syslog_prog_name: str | None
    log_client_connections: bool
    log_client_disconnections: bool
    max_connections: int
    max_user_client_connections: int
    max_db_client_connections: int
    max_address_client_connections: int
    max_concurrent_creates: int
    max_memory_usage_bytes: int
    max_startup_packet_bytes: int
    login_rate_limit: int
    client_login_timeout_ms: int
    shutdown_timeout_ms: int
    tcp_keepalives_idle_s: int
    tcp_keepalives_interval_s: int
    tcp_keepalives_count: int
    tcp_no_delay: bool
    tcp_so_linger_s: int
    tcp_user_timeout_s: int
    tcp_socket_buffer_size_bytes: int
    unix_socket_buffer_size_bytes: int
    tls_mode: TlsMode
    tls_certificate: PemFile | None
    tls_private_key: PemFile | None
    tls_ca_cert: PemFile | None
    tls_min_version: TlsVersion
    tls_ciphers: str | None
    tls13_ciphers: str | None
    tls_rate_limit_per_second: int
    pg_hba: HbaRules | None
    pg_ident: IdentRules
    hba: tuple[str, ...]
    scram_iterations: int
    admin_username: str
    admin_password: str = field(repr=False)
    stats_users: StatsUsers

    @property
    def access_rules(self) -> HbaRules:
        """Return what decides who may come in, also where pg_hba is not set."""
        return no_rules(self.hba) if self.pg_hba is None else self.pg_hba

    @property
    def listen_backlog(self) -> int:
        """Return the backlog for listen(2)."""
        return self.backlog or self.max_connections


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One of `pools.<name>.users`: one pool in PostgreSQL's and SHOW POOLS' sense."""

    username: str
    password: str | JwtKeys | None = field(repr=False)
    pool_size: int
    min_pool_size: int
    max_client_connections: int
    server_username: str | None
    server_password: str | None = field(repr=False)
    server_password_command: tuple[str, ...]
    server_password_ttl_ms: int
    auth_pam_service: str | None
    auth_ldap: Mapping[str, str] | None = field(repr=False)
    server_lifetime_ms: int
    query_timeout_ms: int
    startup_parameters: Parameters
    pool_mode: PoolMode
    reserve_pool_size: int

    @property
    def is_trusting(self) -> bool:
        """Whether nothing says how to know this user: without rules nothing is asked."""
        return self.password is None and self.auth_pam_service is None and self.auth_ldap is None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthQuery:
    """The `pools.<name>.auth_query` section."""

    query: str
    user: str
    password: str | None = field(repr=False)
    database: str
    workers: int
    server_user: str | None
    server_password: str | None = field(repr=False)
    pool_size: int
    min_pool_size: int
    default_pool_size: int | None
    cache_ttl_ms: int
    cache_failure_ttl_ms: int
    min_interval_ms: int

    @property
    def found_pool_size(self) -> int:
        """Return the size of the pool that found users have, each its own or all together."""
        return self.default_pool_size or self.pool_size


TEMPLATE = "*"
"""The name of the pool that is a template for any database that no other is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool(Inherited):
    """One of `pools`, with what it inherits; `users` by name, in the order of the file."""

    name: str
    users: Mapping[str, User]
    auth_query: AuthQuery | None
    server_host: str
    server_hosts: tuple[str, ...]
    load_balance_hosts: LoadBalanceHosts
    target_session_attrs: TargetSessionAttrs
    server_port: int
    server_database: str
    pool_mode: PoolMode
    application_name: str | None
    log_client_parameter_status_changes: bool
    max_db_connections: int
    min_guaranteed_pool_size: int
    min_connection_lifetime_ms: int
    reserve_pool_size: int
    reserve_pool_timeout_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """The `web` section."""

    enabled: bool
    host: tuple[str, ...]
    port: int
    ui: bool
    ui_anonymous: bool
    log_tap_max_entries: int
    sso_enabled: bool
    sso_proxy_url: str | None
    sso_public_key_file: Path | None
    sso_audience: tuple[str, ...]
    sso_allowed_users: tuple[str, ...]
    sso_groups_claim: str
    sso_admin_groups: tuple[str, ...]
    sso_require_https: bool
    trusted_proxies: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of it. `files` are those that were read, in order; `warnings` are for the log."""

    general: General
    pools: Mapping[str, Pool]
    web: Web
    warnings: tuple[str, ...]
    files: tuple[Path, ...]
