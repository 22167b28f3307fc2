"""Passwords for PostgreSQL that change: a command's output, or a file that others write.

    NONE --need--> asked --> KNOWN --PostgreSQL refuses it, or its time is over--> asked --> KNOWN
                     \\-- no answer: the login fails, and the next one asks again

A login that needs it waits for it, with all others of the pool in this worker: one question at a
time. Who has been refused learns whether there is another one now; only if there is none its
clients are told. Law: what a command prints is here and in the login alone, never in a log.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import gevent
from gevent import subprocess
from gevent.lock import Semaphore
from gevent.threadpool import ThreadPool

from greenpool.config import FileSecret, User
from greenpool.errors import GreenpoolError

COMMAND_S = 10.0
"""How long a command may take; tokens of clouds take a second."""

MAX_BYTES = 16384
"""Bound of a password; tokens of clouds have some 2 KB."""


class PasswordUnknown(GreenpoolError):
    """The command or the file gave none. The text holds nothing of what it said."""


class PasswordSource:
    """The password of one pool in one worker, asked for when it is needed."""

    __slots__ = ("_asked_at_s", "_asks", "_command", "_file", "_lock", "_serial", "password")

    def __init__(self, command: tuple[str, ...], file: Path | None, known: str | None) -> None:
        self._command = command
        self._file = file
        self._lock = Semaphore()
        self._asks = 0
        self._serial = 0
        self._asked_at_s: float | None = None
        self.password = known

    def ensure(self, threads: ThreadPool, now_s: float, ttl_s: float) -> int:
        """See that there is a password whose time is not over; return its number.

        Switches: maybe. Raises: PasswordUnknown.
        """
        if self._asked_at_s is None:
            self._asked_at_s = now_s if self.password is not None else None
        is_old = self._asked_at_s is None or (ttl_s > 0 and now_s - self._asked_at_s >= ttl_s)
        if is_old:
            self._ask(threads, now_s)
        return self._serial

    def renew(self, threads: ThreadPool, now_s: float, refused: int) -> bool:
        """Ask again, because the password of that number was refused; say whether it is another.

        Switches: maybe. Raises: PasswordUnknown.
        """
        if self._serial == refused:
            self._ask(threads, now_s)
        return self._serial != refused

    def _ask(self, threads: ThreadPool, now_s: float) -> None:
        asks = self._asks
        with self._lock:
            if self._asks != asks:
                return  # whoever was here before has asked
            password = self._run() if self._file is None else _read(threads, self._file)
            self._asks += 1
            self._asked_at_s = now_s
            if password != self.password:
                self.password = password
                self._serial += 1

    def _run(self) -> str:
        """Run the command, return what it prints."""
        try:
            child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as exc:
            raise PasswordUnknown(f"cannot run server_password_command: {exc.strerror}") from None
        try:
            with gevent.Timeout(COMMAND_S, False):
                said: bytes = child.stdout.read(MAX_BYTES + 1)
                if len(said) > MAX_BYTES:
                    raise PasswordUnknown("server_password_command prints too much")
                if status := child.wait():
                    raise PasswordUnknown(f"server_password_command ended with status {status}")
                return _password_of(said, "server_password_command")
            raise PasswordUnknown(f"server_password_command takes more than {COMMAND_S:g} s")
        finally:
            child.stdout.close()
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def source_of(user: User) -> PasswordSource | None:
    """Return where a user's password for PostgreSQL comes from; None: it is as it is."""
    if user.server_password_command:
        return PasswordSource(user.server_password_command, None, None)
    secret = user.password if user.server_password is None else user.server_password
    if isinstance(secret, FileSecret) and not secret.startswith("SCRAM-SHA-256$"):
        return PasswordSource((), secret.path, str(secret))
    return None


def _read(threads: ThreadPool, file: Path) -> str:
    try:
        return _password_of(threads.apply(_read_bytes, (file,)), f'"{file}"')
    except OSError as exc:
        raise PasswordUnknown(f'cannot read "{file}": {exc.strerror}') from None


def _read_bytes(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(MAX_BYTES)


def _password_of(said: bytes, who: str) -> str:
    """Return it without the end of its line."""
    try:
        password = said.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise PasswordUnknown(f"{who} does not hold UTF-8") from None
    if not password or "\0" in password:
        raise PasswordUnknown(f"{who} holds no password")
    return password
