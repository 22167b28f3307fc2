"""What each setting of PgBouncer's section [pgbouncer] is here, or why it is nothing.

A row: PgBouncer's name -> our key and how its value reads here, or the reason why there is none.
`default` is PgBouncer's value of a setting that is not there, where ours would be another one.
Settings that mean more than one key are `pgbouncer.py`'s. (A table.)
Source: PgBouncer's documentation, up to version 1.25.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from greenpool.config import Section
from greenpool.generate.outline import Literal

Convert = Callable[[str], Literal]


@dataclass(frozen=True, slots=True)
class Means:
    """A key of ours that says the same."""

    key: str
    convert: Convert
    default: str | None = None
    section: Section = Section.GENERAL


@dataclass(frozen=True, slots=True)
class HasNoEqual:
    """Why there is nothing to write down. `harmless`: nobody will miss it."""

    why: str
    harmless: bool = False


def number(text: str) -> int:
    """Read a number. Raises: ValueError."""
    return int(text)


def seconds(text: str) -> str:
    """Read seconds, which may have a fraction. Raises: ValueError."""
    milliseconds = round(float(text) * 1000)
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"


def milliseconds(text: str) -> int:
    """Read milliseconds as whole seconds. Raises: ValueError."""
    return math.ceil(int(text) / 1000)


def boolean(text: str) -> bool:
    """Read 0 and 1, and their words. Raises: ValueError."""
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError(f'"{text}" is neither 0 nor 1') from None


def word(text: str) -> str:
    """Read a word as it is."""
    return text


def addresses(text: str) -> tuple[str, ...]:
    """Read what to listen on; nothing: only the UNIX socket."""
    names = {"*": "0.0.0.0", "localhost": "127.0.0.1"}
    items = filter(None, (item.strip() for item in text.split(",")))
    return tuple(names.get(item, item) for item in items)


def client_tls(text: str) -> str:
    """Read client_tls_sslmode: `prefer` is `allow` there, too."""
    return "allow" if text == "prefer" else text


def hba_file(text: str) -> Mapping[str, str]:
    """Read the name of a file of rules."""
    return {"path": text}


_BOOLEANS = {"0": False, "off": False, "no": False, "false": False}
_BOOLEANS |= {"1": True, "on": True, "yes": True, "true": True}
_P = Section.POOL
_RESOLVER = HasNoEqual("names are resolved by the system's resolver", harmless=True)
_PROCESS = HasNoEqual("speaks of PgBouncer's own process", harmless=True)
_SESSION = HasNoEqual("session_state says what happens to what a client has changed", harmless=True)
_TLS_DETAIL = HasNoEqual("left to OpenSSL and tls_min_version")

# fmt: off
KEYS: Mapping[str, Means | HasNoEqual] = {
    "listen_addr": Means("host", addresses, ""),
    "listen_port": Means("port", number),
    "unix_socket_dir": Means("unix_socket_dir", word, "/tmp"),
    "unix_socket_mode": Means("unix_socket_mode", word, "0777"),
    "unix_socket_group": HasNoEqual("the group is that of greenpool's user"),
    "pidfile": Means("pid_file", word),
    "user": Means("user", word),
    "logfile": HasNoEqual("the log goes to the standard error stream, or to syslog"),
    "syslog_facility": HasNoEqual("the facility is daemon"),
    "verbose": HasNoEqual("log_level says it in a word"),
    "log_connections": Means("log_client_connections", boolean),
    "log_disconnections": Means("log_client_disconnections", boolean),
    "log_pooler_errors": HasNoEqual("refusals are always logged", harmless=True),
    "log_stats": HasNoEqual("numbers are in SHOW STATS and /metrics", harmless=True),
    "stats_period": HasNoEqual("numbers are in SHOW STATS and /metrics", harmless=True),
    "max_client_conn": Means("max_connections", number, "100"),
    "max_db_connections": Means("max_db_connections", number, section=_P),
    "max_db_client_connections": Means("max_db_client_connections", number),
    "max_user_connections": HasNoEqual("pool_size limits a user in each database"),
    "max_user_client_connections": Means("max_user_client_connections", number),
    "reserve_pool_size": HasNoEqual("the reserve here is a database's, beyond max_db_connections"),
    "reserve_pool_timeout": HasNoEqual("it is nothing without reserve_pool_size", harmless=True),
    "pool_mode": Means("pool_mode", word, "session", _P),
    "server_round_robin": Means("server_round_robin", boolean),
    "server_lifetime": Means("server_lifetime", seconds, "3600"),
    "server_idle_timeout": Means("idle_timeout", seconds),
    "server_connect_timeout": Means("connect_timeout", seconds, "15"),
    "server_check_delay": Means("server_idle_check_timeout", seconds),
    "server_check_query": HasNoEqual("a server is tested with an empty query", harmless=True),
    "server_login_retry": HasNoEqual("the time between two tries grows by itself", harmless=True),
    "server_fast_close": HasNoEqual("servers are renewed as their clients give them back"),
    "server_reset_query": _SESSION,
    "server_reset_query_always": _SESSION,
    "track_extra_parameters": _SESSION,
    "ignore_startup_parameters": HasNoEqual("no parameter is refused", harmless=True),
    "application_name_add_host": HasNoEqual("application_name is the client's"),
    "disable_pqexec": HasNoEqual("a simple query may hold several statements"),
    "query_timeout": Means("query_timeout", seconds),
    "query_wait_timeout": Means("query_wait_timeout", seconds, "120"),
    "query_wait_notify": Means("query_wait_notify", seconds),
    "cancel_wait_timeout": Means("cancel_wait_timeout", seconds),
    "client_idle_timeout": Means("client_idle_timeout", seconds),
    "client_login_timeout": Means("client_login_timeout", seconds),
    "idle_transaction_timeout": Means("idle_transaction_timeout", seconds),
    "transaction_timeout": Means("transaction_timeout", seconds),
    "suspend_timeout": _PROCESS,
    "autodb_idle_timeout": HasNoEqual('what the pool "*" has made goes after idle_timeout'),
    "auth_hba_file": Means("pg_hba", hba_file),
    "auth_ident_file": Means("pg_ident", hba_file),
    "scram_iterations": Means("scram_iterations", number),
    "dns_max_ttl": _RESOLVER, "dns_nxdomain_ttl": _RESOLVER, "dns_zone_check_period": _RESOLVER,
    "resolv_conf": _RESOLVER,
    "client_tls_sslmode": Means("tls_mode", client_tls, "disable"),
    "client_tls_key_file": Means("tls_private_key", word),
    "client_tls_cert_file": Means("tls_certificate", word),
    "client_tls_ca_file": Means("tls_ca_cert", word),
    "client_tls_ciphers": HasNoEqual("tls_ciphers takes OpenSSL's lists, none of the short names"),
    "client_tls13_ciphers": Means("tls13_ciphers", word),
    "client_tls_protocols": _TLS_DETAIL, "client_tls_ecdhcurve": _TLS_DETAIL,
    "client_tls_dheparams": _TLS_DETAIL,
    "server_tls_sslmode": Means("server_tls_mode", word, "prefer"),
    "server_tls_ca_file": Means("server_tls_ca_cert", word),
    "server_tls_key_file": Means("server_tls_private_key", word),
    "server_tls_cert_file": Means("server_tls_certificate", word),
    "server_tls_protocols": _TLS_DETAIL, "server_tls_ciphers": _TLS_DETAIL,
    "server_tls13_ciphers": _TLS_DETAIL,
    "listen_backlog": Means("backlog", number),
    "tcp_socket_buffer": Means("tcp_socket_buffer_size", number),
    "tcp_keepcnt": Means("tcp_keepalives_count", number),
    "tcp_keepintvl": Means("tcp_keepalives_interval", number),
    "tcp_user_timeout": Means("tcp_user_timeout", milliseconds),
    "tcp_defer_accept": _PROCESS, "so_reuseport": _PROCESS, "sbuf_loopcnt": _PROCESS,
    "pkt_buf": _PROCESS, "max_packet_size": _PROCESS, "peer_id": _PROCESS, "conffile": _PROCESS,
    "service_name": _PROCESS, "job_name": _PROCESS,
}
# fmt: on
