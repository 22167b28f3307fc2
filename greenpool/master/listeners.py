"""The listening sockets: opened once by the first master, shared by all workers, inherited.

TCP addresses get a socket each; an IPv6 socket takes IPv6 only, so "0.0.0.0" and "::" can stand
side by side. The UNIX socket is `<unix_socket_dir>/.s.PGSQL.<port>`, where libpq looks for it;
its file is removed when the last master ends that listens on it, not when a worker does.

Each has the name that the configuration gives it ("127.0.0.1:6432", a path): by that one that takes
over finds those that it goes on with. Only what is new is opened, only what is wanted no more is
closed, so nobody who connects is ever refused.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterable
from pathlib import Path

from greenpool.errors import StartupError

# sun_path holds 108 bytes, the last of which is zero.
_PATH_BYTES_MAX = 107
_PROBE_DEADLINE_S = 1.0


class Listeners:
    """Listening sockets of one master; `open_all` makes them, `close` ends them."""

    def __init__(
        self,
        inherited: Iterable[tuple[str, int]] = (),
        are_activated: bool = False,
        section: str = "general",
    ) -> None:
        """`inherited`: names and descriptors of what listens already, for another master yet.

        `are_activated`: they are the service manager's, and take the place of all others.
        `section` is that of the configuration which names the addresses.
        """
        self._section = section
        self.are_activated = are_activated
        self._by_name: dict[str, socket.socket] = {}
        self._inherited = {name: socket.socket(fileno=fd) for name, fd in inherited}
        self._unix_mode = 0
        self._backlog = 0
        self._is_owner = not self._inherited

    @classmethod
    def activated(cls, fds: Iterable[int]) -> Listeners:
        """Take what the service manager listens on; nothing at all: a usual, empty one."""
        found = [(_name_of(fd), fd) for fd in fds]
        return cls(found, are_activated=bool(found))

    def open_all(
        self,
        hosts: Iterable[str],
        port: int,
        unix_dir: Path | None,
        unix_mode: int,
        backlog: int,
    ) -> None:
        """Listen everywhere. Raises: StartupError naming the address; nothing is left open."""
        if self.are_activated:
            self._by_name, self._inherited = self._inherited, {}
            return
        self._unix_mode, self._backlog = unix_mode, backlog
        try:
            for host in hosts:
                name = _join(host, port)
                self._by_name[name] = self._inherit(name) or _listen_tcp(
                    host, port, backlog, self._section
                )
            if unix_dir is not None:
                path = unix_dir / f".s.PGSQL.{port}"
                name = str(path)
                self._by_name[name] = self._inherit(name) or listen_unix(path, unix_mode, backlog)
        except StartupError:
            self.close()
            raise
        for unwanted in self._inherited.values():
            unwanted.close()
        self._inherited.clear()

    @property
    def sockets(self) -> list[socket.socket]:
        return list(self._by_name.values())

    def named(self) -> list[tuple[str, int]]:
        """Return names and descriptors, for whoever is to inherit them."""
        return [(name, each.fileno()) for name, each in self._by_name.items()]

    def own(self) -> None:
        """Become the one who removes the files, and give the sockets what is configured now."""
        if self.are_activated:
            return
        self._is_owner = True
        for name, each in self._by_name.items():
            if each.family == socket.AF_UNIX:
                with contextlib.suppress(FileNotFoundError):  # somebody removed it: as before
                    Path(name).chmod(self._unix_mode)
            each.listen(self._backlog)

    def leave(self, names: Iterable[str]) -> None:
        """Close what the successor does not go on with; the other files are its own from now on."""
        kept = set(names)
        for name in [name for name in self._by_name if name not in kept]:
            self._end(name, self._by_name.pop(name))
        self._is_owner = False

    def addresses(self) -> list[str]:
        """Name what is listened on: "127.0.0.1:6432", "[::1]:6432", "/run/.s.PGSQL.6432"."""
        return [_name(each) for each in self.sockets]

    def close(self) -> None:
        """Stop listening and remove the UNIX socket files. Runs in master."""
        for name, each in [*self._by_name.items(), *self._inherited.items()]:
            self._end(name, each)
        self._by_name.clear()
        self._inherited.clear()

    def _inherit(self, name: str) -> socket.socket | None:
        return self._inherited.pop(name) if name in self._inherited else None

    def _end(self, name: str, listener: socket.socket) -> None:
        if self._is_owner and listener.family == socket.AF_UNIX:
            Path(name).unlink(missing_ok=True)
        listener.close()

    def close_in_child(self) -> None:
        """Drop the copies of a process that has no use for them. After fork."""
        for each in self.sockets:
            each.close()


def listen_unix(path: Path, mode: int, backlog: int) -> socket.socket:
    """Listen on a UNIX socket, replacing the file that a dead process has left.

    The mode is set before anyone can connect. Raises: StartupError.
    """
    if len(os.fsencode(path)) > _PATH_BYTES_MAX:
        raise StartupError(
            f'cannot listen on "{path}": a UNIX socket path has at most {_PATH_BYTES_MAX} bytes; '
            "choose a shorter directory"
        )
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        path.chmod(mode)
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError as exc:
        listener.close()
        raise StartupError(f'cannot listen on "{path}": {_advice(exc)}') from exc
    return listener


def _listen_tcp(host: str, port: int, backlog: int, section: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as exc:
        raise StartupError(
            f"cannot listen on {_join(host, port)}: {_advice(exc, section)}"
        ) from exc
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError as exc:
        listener.close()
        raise StartupError(
            f"cannot listen on {_join(host, port)}: {_advice(exc, section)}"
        ) from exc
    return listener


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise StartupError(f'cannot listen on "{path}": a file that is no socket is there')
    except FileNotFoundError:
        return
    except OSError as exc:
        raise StartupError(f'cannot listen on "{path}": {_advice(exc)}') from exc
    if _is_alive(path):
        raise StartupError(
            f'cannot listen on "{path}": another process does; stop it, or change port'
        )
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise StartupError(f'cannot replace the dead socket "{path}": {_advice(exc)}') from exc


def _is_alive(path: Path) -> bool:
    """Say whether someone listens there: only a refused connection proves that nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_DEADLINE_S)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # a full backlog, a socket of someone else's: not ours to remove
        return True


def _advice(exc: OSError, section: str = "general") -> str:
    """Say what is wrong and what to do about it."""
    what = (exc.strerror or str(exc)).lower()
    todo = {
        errno.EADDRINUSE: "another process listens there (ss -ltnp names it); "
        f"stop it, or change {section}.port",
        errno.EADDRNOTAVAIL: f"this machine has no such address; see {section}.host",
        errno.EACCES: "ports below 1024 and foreign directories need privileges",
        errno.ENOENT: "make the directory first; see general.unix_socket_dir",
        errno.EAFNOSUPPORT: f"the kernel has no IPv6; see {section}.host",
    }.get(exc.errno or 0)
    return f"{what}: {todo}" if todo else what


def _name_of(fd: int) -> str:
    with socket.socket(fileno=os.dup(fd)) as listener:
        return _name(listener)


def _name(listener: socket.socket) -> str:
    address = listener.getsockname()
    if isinstance(address, str):
        return address
    return _join(address[0], address[1])


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
