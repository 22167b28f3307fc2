"""The conversation of two masters while one takes over from the other: words over a socketpair.

    old: starts the new one
    new:  {"word": "ready", "places": [...], "listening": [...]}    its workers are up, and wait
          {"word": "failed", "why": "..."}                          or: it cannot, and ends
    old:  {"word": "commit"}                                        take over
    new:  {"word": "taken", "listening": [...]}                     commands find it by now
    new:  {"word": "stop", "timeout_s": 10.0}                       greenpool ends: end, too
          {"word": "succeeded"}                                     by a third: never come back
    old:  {"word": "want", "key": [database, user]}                 a login here needs that pool
    new:  {"word": "made", "key": [...], "index": 7}                it is there
          {"word": "not made", "key": [...], "why": "..."}          or: it cannot be
    old:  {"word": "gone"}                                          nothing of it is left

A SOCK_SEQPACKET message is one word, in JSON. Who does not know a word passes over it: that is how
versions that are apart understand each other. The end of the stream is a word too: the other master
has died. Partners: `upgrade` (the old one's part), `predecessor` (the new one's).
"""

from __future__ import annotations

import json
import logging
import socket
from typing import Any

log = logging.getLogger(__name__)

Word = dict[str, Any]

_WORD_BYTES_MAX = 1 << 16


class Handoff:
    """One end of the conversation. Nothing here waits: a word fits into the socket's buffer."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setblocking(False)

    @classmethod
    def pair(cls) -> tuple[Handoff, socket.socket]:
        """Return this process's end and the socket for the other."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), theirs

    def fileno(self) -> int:
        return self._sock.fileno()

    def say(self, word: str, **fields: object) -> bool:
        """Say something; whether anybody hears it, `hear` tells by the end of the stream.

        False: it has not been said, for the other one is gone or behind with hearing.
        """
        try:
            self._sock.send(json.dumps({"word": word, **fields}).encode())
        except OSError as exc:
            log.debug('the other master does not hear "%s": %s', word, exc)
            return False
        return True

    def hear(self) -> list[Word] | None:
        """Return the words that have come; None: the other master is gone."""
        words: list[Word] = []
        while True:
            try:
                data = self._sock.recv(_WORD_BYTES_MAX)
            except BlockingIOError:
                return words
            except ConnectionError:
                data = b""
            if not data:
                return words or None  # the end comes again at the next call
            words.append(json.loads(data))

    def close(self) -> None:
        self._sock.close()
