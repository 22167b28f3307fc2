"""The table of every configuration key. Building a feature means to delete one `today` cell.

It drives validation, defaults, the sample file, the reference and SHOW CONFIG. Columns: see
key.Key. `where`: G general, P pool, U user, A auth_query, W web; the first letter is the key's
home, further letters say where it may be overridden. Rows stand in the order of the reference.
(A table, therefore exempt from the limits on file size.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from greenpool.config import choices as c
from greenpool.config.hba.kinds import HBA, IDENT, LDAP, PAM
from greenpool.config.key import Invalid, Key, Literal, Reload, Section
from greenpool.config.kinds import (
    AUTO,
    BOOL,
    CHOICE,
    DURATION,
    INT,
    LIST,
    MODE,
    PARAMETERS,
    PATH,
    SECONDS,
    SIZE,
    STRING,
    WORKERS,
)
from greenpool.config.named_kinds import (
    CLIENT_SECRET,
    COMMAND,
    LISTEN,
    NAME,
    NETWORKS,
    SECRET,
    SERVER_HOST,
    SERVER_SECRET,
)
from greenpool.config.pem import PEM
from greenpool.config.stats_users import STATS_USERS

S = Reload.RESTART
_DAY_MS = 86_400_000
# Long enough for any lifetime, and far below every clock's and 64-bit timer's end.
_DURATION = (0, 365 * _DAY_MS)
_POSITIVE_DURATION = (1, 365 * _DAY_MS)
_COUNT = (0, 1_000_000)
_PORT = (1, 65535)
_BUFFER = (0, 1 << 30)
_MEMORY = (0, 1 << 40)
# What the shared segment has room for (_cparser/layout.h: GP_WORKERS_MAX, GP_SLOTS_MAX,
# GP_CREATES_MAX, GP_STATEMENTS_MAX; database.h: GP_PLACES_LIMIT): a value is refused here rather
# than cut there.
_WORKERS = (1, 64)
_POOL_SIZE = (1, 1024)
_CREATES = (1, 64)
_STATEMENTS = (1, 8192)
_PLACES = (0, 8192)
_NONE: tuple[Literal, ...] = (None,)
_ZERO: tuple[Literal, ...] = (0,)
_NO: tuple[Literal, ...] = (False,)

# fmt: off
KEYS: tuple[Key, ...] = (
    # --- general: where greenpool listens and how it runs ------------------------------------
    Key("host", "G", LISTEN, "0.0.0.0", "Addresses to listen on, IPv4 or IPv6; an empty list "
        "leaves only the UNIX socket.", S),
    Key("port", "G", INT, 6432, "Port to listen on; also part of the UNIX socket's name.", S,
        bounds=_PORT),
    Key("unix_socket_dir", "G", PATH, None, "Directory in which the UNIX socket "
        ".s.PGSQL.<port> is made; not set: none.", S),
    Key("unix_socket_mode", "G", MODE, "0600", "Permissions of the UNIX socket, in octal.", S),
    Key("backlog", "G", INT, 0, "Connections that may wait to be accepted; 0 means "
        "max_connections.", S, bounds=(0, 65535)),
    Key("workers", "G", WORKERS, AUTO, "Worker processes; auto means one for each core that "
        "greenpool may use.", S, bounds=_WORKERS, aliases=("worker_threads",)),
    Key("worker_cpu_affinity_pinning", "G", BOOL, False, "Bind each worker to a core of its "
        "own.", S),
    Key("io_backend", "G", CHOICE, AUTO, "How workers wait for sockets; auto takes the best that "
        "the kernel allows: io_uring from Linux 6.1 on, where it is not forbidden.", S,
        choices=c.IoBackend),
    Key("pid_file", "G", PATH, None, "File that holds the master's process id; commands find "
        "the running greenpool by it.", S),
    Key("user", "G", NAME, None, "Operating system user to become when started as root.", S),
    Key("core_dumps", "G", BOOL, False, "Let the kernel write core dumps, which hold passwords "
        "and what clients sent, and let its user trace greenpool: for debugging.", S),
    Key("log_level", "G", CHOICE, "info", "The least severe records that are logged.",
        choices=c.LogLevel),
    Key("log_format", "G", CHOICE, "text", "Log lines for people (text) or JSON objects "
        "(structured).", choices=c.LogFormat),
    Key("syslog_prog_name", "G", STRING, None, "Log to syslog (/dev/log) under this name "
        "instead of the standard error stream."),
    Key("log_client_connections", "G", BOOL, True, "Log each client that logs in."),
    Key("log_client_disconnections", "G", BOOL, True, "Log each client that leaves."),
    # --- limits ---------------------------------------------------------------------------------
    Key("max_connections", "G", INT, 8192, "Clients that may be connected at a time, over all "
        "workers. Raising it above its value at the start takes a restart.", bounds=(1, 1_000_000)),
    Key("max_user_client_connections", "G", INT, 0, "Clients that may be connected at a time as "
        "one user, over all databases; 0 means no limit.", bounds=_COUNT),
    Key("max_db_client_connections", "G", INT, 0, "Clients that may be connected at a time to "
        "one database, over all users; 0 means no limit.", bounds=_COUNT),
    Key("max_address_client_connections", "G", INT, 0, "Clients that one address (of IPv6, one /64 "
        "network) may have connected at a time, those that are logging in included; 0 means no "
        "limit.", bounds=_COUNT),
    Key("max_concurrent_creates", "G", INT, 4, "Server connections that may be being opened at a "
        "time, over all pools.", bounds=_CREATES),
    Key("max_memory_usage", "G", SIZE, "256MB", "Memory that clients and servers may make all "
        "workers hold: buffers, texts of prepared statements, session states (docs/memory.md); 0 "
        "means no limit.", bounds=_MEMORY),
    Key("max_startup_packet", "G", SIZE, "10KB", "Size of the largest startup packet that a "
        "client may send.", bounds=(512, 1 << 20)),
    Key("login_rate_limit", "G", INT, 0, "Logins a second that one address may try (of IPv6, one "
        "/64 network), over all workers; 0 means no limit.", bounds=_COUNT),
    # --- timeouts -------------------------------------------------------------------------------
    Key("connect_timeout", "GP", DURATION, "3s", "Time within which a server connection must be "
        "open and logged in.", bounds=_POSITIVE_DURATION),
    Key("client_login_timeout", "G", DURATION, "60s", "Time within which a client must have "
        "logged in.", bounds=_POSITIVE_DURATION),
    Key("query_wait_timeout", "GP", DURATION, "5s", "Time that a client waits for a server; 0 "
        "means for ever.", bounds=_DURATION),
    Key("query_wait_notify", "GP", DURATION, "0", "Time after which a waiting client is told so "
        "by a notice; 0 means never.", bounds=_DURATION),
    Key("idle_timeout", "GP", DURATION, "10m", "Time after which an unused server connection is "
        "closed; 0 means never.", bounds=_DURATION),
    Key("server_lifetime", "GPU", DURATION, "20m", "Age, give or take 20 %, at which a server "
        "connection is closed once it is idle; 0 means never.", bounds=_DURATION),
    Key("server_idle_check_timeout", "GP", DURATION, "60s", "Idle time after which a server "
        "connection is tested before it is used; 0 means never.", bounds=_DURATION),
    Key("retain_connections_time", "GP", DURATION, "30s", "Time in which a pool closes at most "
        "retain_connections_max of its server connections for idle_timeout or server_lifetime; 0 "
        "means that it closes all of them at once.", bounds=_DURATION),
    Key("retain_connections_max", "GP", INT, 3, "Idle server connections that a pool closes at "
        "most in each retain_connections_time; 0 means no limit.", bounds=_COUNT),
    Key("client_idle_timeout", "GP", DURATION, 0, "Time after which an idle client is "
        "disconnected; 0 means never.", bounds=_DURATION),
    Key("idle_transaction_timeout", "GP", DURATION, 0, "Time after which a client that idles in "
        "a transaction is disconnected; 0 means never.", bounds=_DURATION),
    Key("transaction_timeout", "GP", DURATION, 0, "Time after which a transaction is ended; 0 "
        "means never.", bounds=_DURATION),
    Key("query_timeout", "GPU", DURATION, 0, "Time after which a query is cancelled; 0 means "
        "never.", bounds=_DURATION),
    Key("shutdown_timeout", "G", DURATION, "10s", "Time that transactions have to end when "
        "greenpool stops.", bounds=_DURATION),
    Key("proxy_copy_data_timeout", "GP", DURATION, "15s", "Time that a COPY may stand still; 0 "
        "means for ever.", bounds=_DURATION),
    Key("client_write_timeout", "GP", DURATION, "60s", "Time that a client may read nothing of "
        "what it is sent; 0 means for ever.", bounds=_DURATION),
    Key("cancel_wait_timeout", "GP", DURATION, "10s", "Time within which a cancel request must "
        "have been delivered.", bounds=_POSITIVE_DURATION),
    # --- sockets --------------------------------------------------------------------------------
    Key("tcp_keepalives_idle", "G", SECONDS, 5, "Idle time before the first TCP keepalive; a "
        "bare number counts seconds; 0 turns keepalives off.", bounds=(0, 32767)),
    Key("tcp_keepalives_interval", "G", SECONDS, 5, "Time between TCP keepalives; a bare number "
        "counts seconds.", bounds=(1, 32767)),
    Key("tcp_keepalives_count", "G", INT, 5, "Unanswered TCP keepalives after which a "
        "connection is dead.", bounds=(1, 127)),
    Key("tcp_no_delay", "G", BOOL, True, "Send small segments at once (TCP_NODELAY)."),
    Key("tcp_so_linger", "G", SECONDS, 0, "Time that closing a connection waits for unsent data "
        "(SO_LINGER); a bare number counts seconds; 0 leaves it to the kernel.",
        bounds=(0, 3600)),
    Key("tcp_user_timeout", "G", SECONDS, "60s", "Time after which a connection with "
        "unacknowledged data is dead; a bare number counts seconds; 0 leaves it to the kernel.",
        bounds=(0, 86_400)),
    Key("tcp_socket_buffer_size", "G", SIZE, 0, "Kernel buffers of TCP sockets, each way; 0 "
        "leaves them to the kernel.", bounds=_BUFFER),
    Key("unix_socket_buffer_size", "G", SIZE, "1MB", "Kernel buffers of UNIX sockets, each way; "
        "0 leaves them to the kernel.", bounds=_BUFFER),
    # --- growth ---------------------------------------------------------------------------------
    Key("scaling_warm_pool_ratio", "GP", INT, 20, "Percentage of pool_size up to which server "
        "connections are opened without waiting for one to come free.", bounds=(0, 100)),
    Key("scaling_max_parallel_creates", "GP", INT, 2, "Server connections that one pool may be "
        "opening at a time.", bounds=_CREATES),
    Key("scaling_fast_retries", "GP", INT, 10, "Looks for a free server before a new connection "
        "is considered: so many servers have the time to come back first, and so many clients wait "
        "for that. 0 means that a new one is opened at once.", bounds=(0, 1000)),
    Key("server_round_robin", "GP", BOOL, False, "Use free servers in turn instead of as few as "
        "possible."),
    # --- statements -----------------------------------------------------------------------------
    Key("prepared_statements", "GP", BOOL, True, "Let prepared statements outlive a "
        "transaction, whichever server runs them."),
    Key("prepared_statements_cache_size", "GP", INT, 8192, "Prepared statements kept on one "
        "server, unless server_prepared_statements_cache_size says otherwise.",
        bounds=_STATEMENTS),
    Key("server_prepared_statements_cache_size", "GP", INT, None, "Prepared statements kept on "
        "one server; not set: as prepared_statements_cache_size.", bounds=_STATEMENTS),
    # --- session --------------------------------------------------------------------------------
    Key("deferred_begin", "GP", BOOL, True, "Take a server with the first statement after BEGIN, "
        "not with BEGIN: now() then starts there."),
    Key("session_state", "GP", CHOICE, "track", "Let session state follow the client (track), "
        "undo it when the server goes back (reset), or leave it (off).", choices=c.SessionState),
    Key("startup_parameters", "GPU", PARAMETERS, None, "PostgreSQL settings that every server "
        "connection starts with; a user's win over the pool's, these over the general ones."),
    Key("pooler_check_query", "GP", STRING, ";", "A simple query that greenpool answers itself "
        "outside of transactions, with what PostgreSQL once answered; empty: none."),
    # --- TLS towards clients --------------------------------------------------------------------
    Key("tls_mode", "G", CHOICE, "allow", "TLS towards clients: none (disable), for who wants it "
        "(allow), for all (require), for all and with a client certificate (verify-ca), issued to "
        "the user's name (verify-full). Without a certificate allow means disable. UNIX sockets "
        "never have TLS.", choices=c.TlsMode),
    Key("tls_certificate", "G", PEM, None, "Certificate shown to clients, its chain behind it."),
    Key("tls_private_key", "G", PEM, None, "Private key of tls_certificate, without passphrase."),
    Key("tls_ca_cert", "G", PEM, None, "Authorities that client certificates are checked "
        "against; revocation lists may stand among them."),
    Key("tls_min_version", "G", CHOICE, "1.2", "The oldest TLS version that clients may speak.",
        choices=c.TlsVersion),
    Key("tls_ciphers", "G", STRING, None, "Ciphers for TLS 1.2, as OpenSSL lists them; not set: "
        "Mozilla's intermediate list."),
    Key("tls13_ciphers", "G", STRING, None, "Cipher suites for TLS 1.3, as OpenSSL lists them; not "
        "set: OpenSSL's own."),
    Key("tls_rate_limit_per_second", "G", INT, 0, "TLS handshakes of clients a second, over all "
        "workers; others wait their turn. 0 means no limit.", bounds=_COUNT),
    # --- TLS towards servers --------------------------------------------------------------------
    Key("server_tls_mode", "GP", CHOICE, "allow", "TLS towards servers, as libpq's sslmode.",
        choices=c.ServerTlsMode),
    Key("server_tls_ca_cert", "GP", PEM, None, "Authorities that server certificates are "
        "checked against; revocation lists may stand among them."),
    Key("server_tls_certificate", "GP", PEM, None, "Certificate shown to servers."),
    Key("server_tls_private_key", "GP", PEM, None, "Private key of server_tls_certificate, "
        "without passphrase."),
    # --- access ---------------------------------------------------------------------------------
    Key("pg_hba", "G", HBA, None, "Rules in the form of pg_hba.conf: text in place, {path: ...} "
        "or {content: ...}; not set: whoever has a password is asked for it."),
    Key("pg_ident", "G", IDENT, None, "User name maps in the form of pg_ident.conf, for the rules "
        "of pg_hba: text in place, {path: ...} or {content: ...}."),
    Key("hba", "G", NETWORKS, None, "Networks that clients may come from; not set or empty: "
        "any. Prefer pg_hba."),
    Key("scram_iterations", "G", INT, 4096, "Iterations of the SCRAM secrets that greenpool makes "
        "of plain passwords, and of those that users who do not exist seem to have: as in "
        "PostgreSQL.", bounds=(1, (1 << 31) - 1)),
    Key("admin_username", "G", NAME, "admin", "User of the admin console."),
    Key("admin_password", "G", SECRET, "", "Password of the admin console; while it is empty or "
        '"admin" nobody can log in to the console over the network.'),
    Key("stats_users", "G", STATS_USERS, None, "Users of the admin console who may say SHOW and "
        "nothing else, each with username and password (or password_file); not SHOW FDS and "
        "PREPARED_STATEMENTS."),
    # --- pools.<name> ---------------------------------------------------------------------------
    Key("server_host", "P", SERVER_HOST, "127.0.0.1", "Address of the server, or the directory "
        "of its UNIX socket."),
    Key("server_hosts", "P", LIST, None, "Several addresses instead of server_host.",
        today=_NONE),
    Key("load_balance_hosts", "P", CHOICE, "disable", "Try server_hosts in order (disable) or in "
        "turn (round-robin).", choices=c.LoadBalanceHosts, today=("disable",)),
    Key("target_session_attrs", "P", CHOICE, "any", "Which of server_hosts will do, as in libpq.",
        choices=c.TargetSessionAttrs, today=("any",)),
    Key("server_port", "P", INT, 5432, "Port of the server.", bounds=_PORT),
    Key("server_database", "P", NAME, None, "Database on the server; not set: the pool's name."),
    Key("pool_mode", "PU", CHOICE, "transaction", "When a client gives its server back: after "
        "each transaction, session or statement.", choices=c.PoolMode),
    Key("application_name", "P", STRING, None, "application_name of the server connections; not "
        "set: the client's."),
    Key("log_client_parameter_status_changes", "P", BOOL, False, "Log each setting that a "
        "client changes, of those that PostgreSQL reports (client_encoding, TimeZone, "
        "search_path from 18 on, ...), with its value."),
    Key("max_db_connections", "P", INT, 0, "Server connections of this pool over all its users; "
        "0 means no limit.", bounds=_PLACES),
    Key("min_guaranteed_pool_size", "P", INT, 0, "Server connections that a user keeps when "
        "max_db_connections makes others take them.", bounds=_PLACES),
    Key("min_connection_lifetime", "P", DURATION, "30s", "Age below which no server connection "
        "is taken from its user.", bounds=_DURATION),
    Key("reserve_pool_size", "PU", INT, 0, "Server connections beyond max_db_connections for "
        "clients that waited for reserve_pool_timeout; a user's: how many of them it may have.",
        bounds=_PLACES),
    Key("reserve_pool_timeout", "P", DURATION, "3s", "Time that a client waits before it may use "
        "the reserve.", bounds=_DURATION),
    Key("patroni_api_urls", "GP", LIST, None, "Patroni REST addresses that name another server "
        "when this one is down.", today=_NONE),
    Key("patroni_api_timeout", "GP", DURATION, "5s", "Time within which Patroni must answer.",
        bounds=_POSITIVE_DURATION, today=("5s",)),
    Key("fallback_cooldown", "GP", DURATION, "30s", "Time for which a server that refused is "
        "passed over.", bounds=_DURATION, today=("30s",)),
    Key("fallback_connect_timeout", "GP", DURATION, "5s", "Time within which a fallback server "
        "must be connected.", bounds=_POSITIVE_DURATION, today=("5s",)),
    Key("fallback_lifetime", "GP", DURATION, None, "Age at which connections to a fallback "
        "server are closed; not set: as fallback_cooldown.", bounds=_DURATION, today=_NONE),
    # --- pools.<name>.users[] -------------------------------------------------------------------
    Key("username", "U", NAME, None, "Name that clients log in with.", required=True),
    Key("password", "U", CLIENT_SECRET, None, "What clients must know: a plain password, "
        "md5..., SCRAM-SHA-256$... or jwt-pkey-fpath:/path; not set: nothing is asked."),
    Key("pool_size", "U", INT, 40, "Server connections of this user, over all workers.",
        bounds=_POOL_SIZE),
    Key("min_pool_size", "U", INT, 0, "Server connections that are kept open.",
        bounds=(0, _POOL_SIZE[1])),
    Key("max_client_connections", "U", INT, 0, "Clients that may be connected at a time as this "
        "user of this pool; 0 means no limit.", bounds=_COUNT),
    Key("server_username", "U", NAME, None, "User to log in as at the server; not set: the "
        "client's."),
    Key("server_password", "U", SERVER_SECRET, None, "Password for the server; not set: what "
        "the client proved is passed on."),
    Key("server_password_command", "U", COMMAND, None, "Program with arguments (a list), or a line "
        "for the shell, that prints the password for the server: run when the first connection is "
        "opened, and again when the server refuses it."),
    Key("server_password_ttl", "U", DURATION, 0, "Time after which the password is asked for "
        "again, from server_password_command or its file, before it is used; 0 means only when the "
        "server refuses it.", bounds=_DURATION),
    Key("auth_pam_service", "U", PAM, None, "PAM service that checks the password, instead of "
        "one that is set here."),
    Key("auth_ldap", "U", LDAP, None, "LDAP server that checks the password, instead of one that "
        "is set here: the options of the method ldap in pg_hba."),
    # --- pools.<name>.auth_query ----------------------------------------------------------------
    Key("query", "A", STRING, None, "Query about a user that is not in `users`; $1 is its "
        "name. Columns: passwd or password (md5..., SCRAM-SHA-256$... or plain; NULL: none), and "
        "startup_parameters if you like, a JSON object.", required=True),
    Key("user", "A", NAME, None, "User that runs the query.", required=True),
    Key("password", "A", SERVER_SECRET, None, "Password of that user."),
    Key("database", "A", NAME, None, "Database to run the query in; not set: the pool's."),
    Key("workers", "A", INT, 2, "Server connections for the query, over all workers.",
        bounds=(1, 64)),
    Key("server_user", "A", NAME, None, "User that all found users share at the server; not "
        "set: each logs in as itself."),
    Key("server_password", "A", SERVER_SECRET, None, "Password of server_user."),
    Key("pool_size", "A", INT, 40, "Server connections of each found user, over all "
        "workers; with server_user, of all of them together.", bounds=_POOL_SIZE),
    Key("min_pool_size", "A", INT, 0, "Server connections of these that are kept open.",
        bounds=(0, _POOL_SIZE[1])),
    Key("default_pool_size", "A", INT, None, "Says instead of pool_size how many server "
        "connections found users have.", bounds=_POOL_SIZE),
    Key("cache_ttl", "A", DURATION, "1h", "Time for which what the query said of a user may be "
        "used while PostgreSQL cannot be asked.",
        bounds=_DURATION),
    Key("cache_failure_ttl", "A", DURATION, "30s", "The same, where the query has found no such "
        "user.", bounds=_DURATION),
    Key("min_interval", "A", DURATION, "1s", "Time for which what the query said of a user is used "
        "without asking again: a password that was changed is noticed after that.",
        bounds=_DURATION),
    # --- web ------------------------------------------------------------------------------------
    Key("enabled", "W", BOOL, False, "Serve /metrics, /healthz and /readyz by HTTP; without it the "
        "other keys of this section have no effect.", S),
    Key("host", "W", LISTEN, "127.0.0.1", "Addresses to serve on.", S),
    Key("port", "W", INT, 9127, "Port to serve on.", S, bounds=_PORT),
    Key("ui", "W", BOOL, False, "Serve the web console too.", today=_NO),
    Key("ui_anonymous", "W", BOOL, False, "Let anyone look at the web console.", today=_NO),
    Key("log_tap_max_entries", "W", INT, 8192, "Log records kept for the web console.",
        bounds=_COUNT, today=(8192,)),
    Key("sso_enabled", "W", BOOL, False, "Accept web tokens of a single sign-on proxy.",
        today=_NO),
    Key("sso_proxy_url", "W", STRING, None, "Address of the single sign-on proxy.", today=_NONE),
    Key("sso_public_key_file", "W", PATH, None, "Public key that tokens are checked with.",
        today=_NONE),
    Key("sso_audience", "W", LIST, None, "Audiences that a token may be made for.", today=_NONE),
    Key("sso_allowed_users", "W", LIST, None, 'Users that may look; not set or "*": any.',
        today=_NONE),
    Key("sso_groups_claim", "W", STRING, "groups", "Claim of a token that names the groups.",
        today=("groups",)),
    Key("sso_admin_groups", "W", LIST, None, "Groups whose members may give commands.",
        today=_NONE),
    Key("sso_require_https", "W", BOOL, False, "Refuse tokens that did not come over HTTPS.",
        today=_NO),
    Key("trusted_proxies", "W", NETWORKS, None, "Networks whose forwarding headers are "
        "believed.", today=_NONE),
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Rewording:
    """A key of PgDoorman's that says with a boolean what one of ours says with a word."""

    name: str
    target: str
    words: Mapping[bool, str | None]  # None: says nothing


# In this order, the later ones win: verify-full says more than require, track than reset.
REWORDINGS: tuple[Rewording, ...] = (
    Rewording("cleanup_server_connections", "session_state", {True: "reset", False: "off"}),
    Rewording("sync_server_parameters", "session_state", {True: "track", False: None}),
    Rewording("server_tls", "server_tls_mode", {True: "require", False: "disable"}),
    Rewording("verify_server_certificate", "server_tls_mode", {True: "verify-full", False: None}),
)

# Keys of PgDoorman's that speak of its own machinery: accepted, and named in one warning. Those of
# unnamed statements bound what it remembers of them for each client; here that is one, always.
IGNORED = frozenset(
    (
        "client_anonymous_prepared_cache_size",
        "client_prepared_statements_cache_size",
        "max_blocking_threads",
        "message_size_to_be_stream",
        "query_interner_anon_idle_ttl_seconds",
        "query_interner_gc_interval_seconds",
        "worker_stack_size",
    )
)
IGNORED_PREFIXES = ("daemon_", "tokio_")
SECTION_ALIASES: Mapping[str, str] = {"prometheus": "web"}


def is_ignored(name: str) -> bool:
    """Say whether a key of general or a pool is PgDoorman's alone."""
    return name in IGNORED or name.startswith(IGNORED_PREFIXES)


def keys_of(section: Section) -> tuple[Key, ...]:
    """Return the keys that may stand in a section, in the table's order."""
    return _BY_SECTION[section]


def is_supported(section: Section, name: str, value: object) -> bool:
    """Say whether the feature that a value, written as in a file, asks for is there.

    A value that is wrong is for whoever loads the file to refuse.
    """
    key = next(key for key in keys_of(section) if key.name == name)
    if key.is_built or not isinstance(value, str | int):
        return key.is_built
    try:
        return key.accepts(key.literal(value))
    except Invalid:
        return True


_BY_SECTION: Mapping[Section, tuple[Key, ...]] = {
    section: tuple(key for key in KEYS if section.value in key.where) for section in Section
}
