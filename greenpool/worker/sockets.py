"""What is done to sockets besides reading and writing them: options, names, leave-taking."""

from __future__ import annotations

import logging
import socket as plain
import struct
from typing import Protocol

import gevent
from gevent import socket

from greenpool.auth.peer import Peer, Transport, parse_address
from greenpool.config import General

log = logging.getLogger(__name__)

FAREWELL_S = 1.0
"""How long a client may take to read our last words: as nginx's lingering_close, but stricter."""

_UCRED = struct.Struct("=iII")  # pid, uid, gid


class HasOptions(Protocol):
    """Sockets of the standard library and gevent's alike."""

    @property
    def family(self) -> int: ...
    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None: ...


def set_options(sock: HasOptions, general: General) -> None:
    """Set what the configuration says about sockets of this family.

    On a listening socket it counts for every connection accepted from it: Linux lets them
    inherit all of these options, so an accept costs no further calls.
    """
    if sock.family == plain.AF_UNIX:
        _set_buffers(sock, general.unix_socket_buffer_size_bytes)
        return
    _set_buffers(sock, general.tcp_socket_buffer_size_bytes)
    sock.setsockopt(plain.IPPROTO_TCP, plain.TCP_NODELAY, int(general.tcp_no_delay))
    keepalive = int(general.tcp_keepalives_idle_s > 0)
    sock.setsockopt(plain.SOL_SOCKET, plain.SO_KEEPALIVE, keepalive)
    if keepalive:
        _set_tcp(sock, plain.TCP_KEEPIDLE, general.tcp_keepalives_idle_s)
        _set_tcp(sock, plain.TCP_KEEPINTVL, general.tcp_keepalives_interval_s)
        _set_tcp(sock, plain.TCP_KEEPCNT, general.tcp_keepalives_count)
    _set_tcp(sock, plain.TCP_USER_TIMEOUT, general.tcp_user_timeout_s * 1000)
    linger = struct.pack("ii", int(general.tcp_so_linger_s > 0), general.tcp_so_linger_s)
    sock.setsockopt(plain.SOL_SOCKET, plain.SO_LINGER, linger)


def host_of(address: object) -> str:
    """Return the host of an address, empty for a UNIX peer."""
    return str(address[0]) if isinstance(address, tuple) else ""


def name_of(address: object) -> str:
    """Return an address as logs and SHOW CLIENTS write it; a UNIX peer has no name."""
    if not isinstance(address, tuple):
        return "unknown" if address is None else "unix"
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def peer_of(sock: socket.socket) -> Peer:
    """Return what the kernel knows of the other end. Raises: OSError if it has gone already."""
    if sock.family == plain.AF_UNIX:
        _, uid, _ = _UCRED.unpack(sock.getsockopt(plain.SOL_SOCKET, plain.SO_PEERCRED, _UCRED.size))
        return Peer(Transport.LOCAL, uid=uid)
    return Peer(Transport.TCP, parse_address(sock.getpeername()[0]))


def take_leave(sock: socket.socket) -> None:
    """Close so that our last words arrive: with unread input, close(2) alone would reset.

    Switches: yes, for FAREWELL_S at most.
    """
    try:
        with gevent.Timeout(FAREWELL_S, False):
            sock.shutdown(plain.SHUT_WR)
            while sock.recv(65536):
                pass
    except OSError as exc:  # the other end did not wait for it
        log.debug("a client has gone before our last words: %s", exc)
    finally:
        sock.close()


def _set_tcp(sock: HasOptions, option: int, value: int) -> None:
    sock.setsockopt(plain.IPPROTO_TCP, option, value)


def _set_buffers(sock: HasOptions, size_bytes: int) -> None:
    if size_bytes:
        sock.setsockopt(plain.SOL_SOCKET, plain.SO_SNDBUF, size_bytes)
        sock.setsockopt(plain.SOL_SOCKET, plain.SO_RCVBUF, size_bytes)
