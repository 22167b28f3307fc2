"""Connect to PostgreSQL.

Names are resolved by gevent's resolver, on its threads. Every wait here has a deadline.
Switches: every function does.
"""

from __future__ import annotations

import gevent
from gevent import socket

from greenpool.config import General, Pool
from greenpool.errors import ServerUnavailable
from greenpool.worker.sockets import set_options


class ConnectFailed(ServerUnavailable):
    """Nobody answered at the server's address."""


def address_of(pool: Pool) -> str:
    """Return the server's address as logs and SHOW SERVERS write it."""
    if pool.server_host.startswith("/"):
        return unix_path(pool)
    host = f"[{pool.server_host}]" if ":" in pool.server_host else pool.server_host
    return f"{host}:{pool.server_port}"


def unix_path(pool: Pool) -> str:
    """Return the path of the server's UNIX socket, as libpq would look for it."""
    return f"{pool.server_host}/.s.PGSQL.{pool.server_port}"


def connect(pool: Pool, general: General) -> socket.socket:
    """Connect to a pool's server within its connect_timeout. Raises: ConnectFailed."""
    deadline = gevent.Timeout(pool.connect_timeout_ms / 1000)
    try:
        with deadline:
            sock = _connect(pool)
    except gevent.Timeout as exc:
        if exc is not deadline:
            raise
        raise failed(pool, "timeout expired") from None
    except OSError as exc:
        raise failed(pool, exc.strerror or str(exc)) from exc
    set_options(sock, general)
    return sock


def _connect(pool: Pool) -> socket.socket:
    if not pool.server_host.startswith("/"):
        return socket.create_connection((pool.server_host, pool.server_port))
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(unix_path(pool))
    except BaseException:  # a deadline is not an Exception
        sock.close()
        raise
    return sock


def failed(pool: Pool, why: str) -> ConnectFailed:
    """Make the error for a server that could not be spoken to."""
    return ConnectFailed(f'connection to server at "{address_of(pool)}" failed: {why}')
