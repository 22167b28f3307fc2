"""What the workers of one greenpool tell each other about a pool, through the shared segment.

One that has logged in at PostgreSQL knows how its servers greet, one that has let a client in knows
the SCRAM keys it proved: all others would otherwise have to wait for a server, or for that client.

    | mark: 16 bytes | text |

The mark names what must be the same for the text to be true: a keyed hash of configuration. So
workers of the old and of the new configuration, while a reload is under way, never believe each
other. Partner: `_cparser/notes.h`. Nothing here waits, and nothing is ever logged but lengths.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Protocol

from greenpool.records import NoteKind, Result

log = logging.getLogger(__name__)

MARK_BYTES = 16


class NoteSpace(Protocol):
    """What is needed of the shared segment."""

    def note_version(self, pool: int, kind: NoteKind) -> int: ...
    def read_note(self, pool: int, kind: NoteKind) -> tuple[int, bytes]: ...
    def write_note(self, pool: int, kind: NoteKind, worker: int, data: bytes) -> Result: ...


class NoteBoard:
    """The notes of all pools as one worker sees them; `secret` is that of all workers."""

    __slots__ = ("secret", "space", "worker")

    def __init__(self, space: NoteSpace, worker: int, secret: bytes) -> None:
        self.space = space
        self.worker = worker
        self.secret = secret

    def note(self, pool: int, kind: NoteKind, truth: object) -> Note:
        """Return one note, for text that is true as long as `repr(truth)` is the same."""
        words = repr((kind.name, truth)).encode("utf-8", "surrogatepass")
        mark = hashlib.blake2b(words, key=self.secret, digest_size=MARK_BYTES).digest()
        return Note(self, pool, kind, mark)


class Note:
    """One note of one pool: `news` to hear of the others, `tell` to be heard.

    Law: what this worker knows and the segment does not is told again, so that a note that was
    wiped behind a reload comes back; `leave` ends that, and then nothing is written any more.
    """

    __slots__ = ("_board", "_kind", "_mark", "_pool", "_text", "_version")

    def __init__(self, board: NoteBoard, pool: int, kind: NoteKind, mark: bytes) -> None:
        self._board: NoteBoard | None = board
        self._pool = pool
        self._kind = kind
        self._mark = mark
        self._text: bytes | None = None
        self._version: int | None = None

    def news(self) -> bytes | None:
        """Return the text if it is another than the last one told or heard; None: nothing new."""
        board = self._board
        if board is None or board.space.note_version(self._pool, self._kind) == self._version:
            return None
        self._version, data = board.space.read_note(self._pool, self._kind)
        if not data and self._text is not None:
            self._write(board, self._text)
        mark, text = data[:MARK_BYTES], data[MARK_BYTES:]
        if mark != self._mark or text == self._text:
            return None
        self._text = text
        return text

    @property
    def version(self) -> int:
        """The version that was looked at last."""
        return self._version or 0

    def tell(self, text: bytes) -> None:
        """Let all workers know. What cannot be told (it is too long) stays with this one."""
        board = self._board
        if board is None:
            return
        self.news()
        if text != self._text:
            self._text = text
            self._write(board, text)

    def leave(self) -> None:
        """Tell and hear nothing more: the configuration is another one."""
        self._board = None

    def _write(self, board: NoteBoard, text: bytes) -> None:
        result = board.space.write_note(self._pool, self._kind, board.worker, self._mark + text)
        if result is not Result.OK:
            name = self._kind.name.lower()
            log.debug(
                "pool %d: cannot share %d bytes (%s): %s", self._pool, len(text), name, result
            )
