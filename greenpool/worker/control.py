"""The conversation of the master with one worker, over a UNIX stream socketpair.

    +------------------+--------------------+
    | length: u32, BE  | pickle of message  |   length does not count itself
    +------------------+--------------------+

Both ends are the same program started by the same master, so pickle is trusted here and nowhere
else. The classes work on blocking sockets (the master, when its selector says readable) and on
gevent's alike: one `receive` is one `recv`.
"""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass
from typing import Protocol

from greenpool.admin.question import Told as Row
from greenpool.admin.question import Topic
from greenpool.config import Config, PoolKey
from greenpool.errors import ControlError
from greenpool.observe.news import News

MAX_MESSAGE_BYTES = 64 << 20
"""Far above any configuration; a longer one means that the stream is out of step."""

_LENGTH = struct.Struct("!I")
_RECV_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Reload:
    """Master to worker: serve by this configuration from now on; `pools` as in the segment.

    What of `pools` is not configured are the pools of users whom auth_query has found.
    """

    config: Config
    pools: dict[PoolKey, int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Worker to master: a user whom auth_query has found is here and has no pool."""

    key: PoolKey


@dataclass(frozen=True, slots=True)
class Made:
    """Master to worker: the pool of a found user is at this place of the segment."""

    key: PoolKey
    index: int


@dataclass(frozen=True, slots=True)
class NotMade:
    """Master to worker, who wanted it: there can be no such pool now."""

    key: PoolKey
    why: str


@dataclass(frozen=True, slots=True)
class Release:
    """Master to worker: forget the pool of a found user, unless somebody is on the way there."""

    key: PoolKey
    serial: int


@dataclass(frozen=True, slots=True)
class Released:
    """Worker to master: it has forgotten the pool, or (not `is_gone`) needs it still."""

    key: PoolKey
    serial: int
    is_gone: bool


@dataclass(frozen=True, slots=True)
class Drain:
    """Master to worker: accept nobody, let transactions end; when `timeout_s` is over, exit."""

    timeout_s: float


@dataclass(frozen=True, slots=True)
class Listen:
    """Master to worker: accept clients from now on."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """Master to worker: accept nobody, give all to the workers of these places, then exit.

    Sent again, these are the places; none: serve whoever is left, until another word comes.
    """

    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """Worker to master: everything has been made that it needs to serve; it waits for Listen."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Worker to master: the last Reload is in force."""


@dataclass(frozen=True, slots=True)
class Drained:
    """Worker to master: nobody is left, or the time is over; it exits now."""


@dataclass(frozen=True, slots=True)
class Command:
    """Worker to master: the administrator gave this command: "reload", "upgrade", "shutdown"."""

    name: str


@dataclass(frozen=True, slots=True)
class Put:
    """Worker to master: the administrator wants another value of a setting (config/setting.py)."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Worker to master: tell all workers to answer this; `number` is the asker's own."""

    number: int
    topic: Topic


@dataclass(frozen=True, slots=True)
class Ask:
    """Master to worker: answer this, for the worker with the pid `asker`."""

    asker: int
    number: int
    topic: Topic


@dataclass(frozen=True, slots=True)
class Told:
    """Worker to master: a piece of the answer."""

    asker: int
    number: int
    rows: tuple[Row, ...]
    is_last: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """Master to worker: a piece of somebody's answer; `is_last`: nobody has more to tell."""

    number: int
    rows: tuple[Row, ...]
    is_last: bool


ControlMessage = (
    Reload
    | Wanted
    | Made
    | NotMade
    | Release
    | Released
    | Drain
    | Listen
    | HandOver
    | Ready
    | Reloaded
    | Drained
    | Command
    | Put
    | Asked
    | Ask
    | Told
    | Heard
    | News
)
"""News is for the observer, which is spoken with in the same way."""


class Socket(Protocol):
    """What is needed of a socket: the standard library's and gevent's both fit."""

    def sendall(self, data: bytes, /) -> None: ...
    def recv(self, size: int, /) -> bytes: ...


class ControlSender:
    """Send messages. Set a timeout on the socket: the peer may be stuck."""

    __slots__ = ("_sock",)

    def __init__(self, sock: Socket) -> None:
        self._sock = sock

    def send(self, message: ControlMessage) -> None:
        """Send one message. Switches: on a gevent socket, yes. Raises: OSError, TimeoutError."""
        body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._sock.sendall(_LENGTH.pack(len(body)) + body)


class ControlReader:
    """Receive messages, however the stream is cut."""

    __slots__ = ("_buffer", "_sock")

    def __init__(self, sock: Socket) -> None:
        self._sock = sock
        self._buffer = bytearray()

    def receive(self) -> list[ControlMessage] | None:
        """Receive once; return what is complete now, often nothing yet; None: the peer has gone.

        Switches: on a gevent socket, yes. Raises: ControlError when the stream makes no sense.
        """
        try:
            data = self._sock.recv(_RECV_BYTES)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            return None
        if not data:
            return None
        self._buffer += data
        return self._take_all()

    def _take_all(self) -> list[ControlMessage]:
        messages: list[ControlMessage] = []
        buffer = self._buffer
        while len(buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer)
            if length > MAX_MESSAGE_BYTES:
                raise ControlError(f"a control message of {length} bytes cannot be right")
            end = _LENGTH.size + length
            if len(buffer) < end:
                break
            message = pickle.loads(buffer[_LENGTH.size : end])
            if not isinstance(message, ControlMessage):
                raise ControlError(f"a {type(message).__name__} is not a control message")
            messages.append(message)
            del buffer[:end]
        return messages
