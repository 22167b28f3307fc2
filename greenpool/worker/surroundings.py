"""What rules of pg_hba.conf ask of the operating system and of the name service.

Law: nothing here blocks the hub. Names are looked up on the threads of outside authorities, so
that a name service which is slow holds up nobody else, and client_login_timeout bounds the wait;
addresses come out of the kernel at once.
Partner: `auth.hba.match.Surroundings`. Source: netlink(7), rtnetlink(7).
"""

from __future__ import annotations

import logging
import pwd
import socket as plain
import struct
from collections.abc import Iterator

from gevent.threadpool import ThreadPool

from greenpool.auth.hba.match import Interface
from greenpool.auth.peer import IpAddress, parse_address
from greenpool.config import Network

log = logging.getLogger(__name__)

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_IFADDR = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_RTM_NEWADDR, _RTM_GETADDR, _NLMSG_ERROR, _NLMSG_DONE = 20, 22, 2, 3
_REQUEST_DUMP = 0x301
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_BITS = {plain.AF_INET: 32, plain.AF_INET6: 128}


class SystemSurroundings:
    """The real ones; a test has its own."""

    __slots__ = ("_threads",)

    def __init__(self, threads: ThreadPool) -> None:
        self._threads = threads

    def interfaces(self) -> list[Interface]:
        """Return this machine's addresses with their networks. Switches: no."""
        with plain.socket(plain.AF_NETLINK, plain.SOCK_RAW, plain.NETLINK_ROUTE) as netlink:
            body = _IFADDR.pack(plain.AF_UNSPEC, 0, 0, 0, 0)
            head = _HEADER.pack(_HEADER.size + len(body), _RTM_GETADDR, _REQUEST_DUMP, 1, 0)
            netlink.sendto(head + body, (0, 0))
            return list(_addresses(netlink))

    def host_name(self, address: IpAddress) -> str | None:
        """Ask for the name of an address; None: it has none. Switches: yes."""
        name: str | None = self._threads.apply(_host_name, (str(address),))
        return name

    def addresses(self, name: str) -> set[IpAddress]:
        """Ask for the addresses of a name. Switches: yes."""
        return {parse_address(each) for each in self._threads.apply(_addresses_of, (name,))}


def user_of(uid: int, threads: ThreadPool) -> str | None:
    """Return the name of an operating system user; None: it has none. Switches: yes."""
    name: str | None = threads.apply(_user_name, (uid,))
    return name


# These run on threads. What they raised would be logged as an error of the worker's.


def _host_name(address: str) -> str | None:
    try:
        return plain.getnameinfo((address, 0), plain.NI_NAMEREQD)[0].lower()
    except OSError as exc:
        log.debug("%s has no name: %s", address, exc)
        return None


def _addresses_of(name: str) -> list[str]:
    try:
        found = plain.getaddrinfo(name, None, type=plain.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        log.debug("%s has no address: %s", name, exc)
        return []
    return [str(each[4][0]) for each in found]


def _user_name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def _addresses(netlink: plain.socket) -> Iterator[Interface]:
    """Read the kernel's answer, which is complete when the request returns."""
    while True:
        data, at = netlink.recv(1 << 16), 0
        while at < len(data):
            length, kind, *_ = _HEADER.unpack_from(data, at)
            if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                return
            if kind == _RTM_NEWADDR:
                yield from _interface(data[at + _HEADER.size : at + length])
            at += (length + 3) & ~3


def _interface(message: bytes) -> Iterator[Interface]:
    family, prefix, *_ = _IFADDR.unpack_from(message)
    width = _BITS.get(family)
    found, at = {}, _IFADDR.size
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        found[kind] = message[at + _ATTRIBUTE.size : at + length]
        at += max(_ATTRIBUTE.size, (length + 3) & ~3)
    # On a point-to-point line IFA_ADDRESS is the other end's, and IFA_LOCAL ours.
    raw = found.get(_IFA_LOCAL, found.get(_IFA_ADDRESS))
    if width is None or raw is None:
        return
    address = parse_address(plain.inet_ntop(family, raw))
    mask = (1 << width) - (1 << (width - prefix))
    yield address, Network(address.version, int(address), mask)
