"""An event of the log: a stable name, stable fields, and words for people. `events` has them all.

    READY.tell(log)  ->  text: "ready";  structured: {..., "event": "ready", ...}

What happens to the house is kept as well, whatever the log's level, where `keep_with` says: the
console shows it (SHOW EVENTS). A kept event is a text of parts, `message NUL name=value NUL ...`,
that can be cut anywhere; its number is the same in all versions.
"""

from __future__ import annotations

import logging
import string
import time
from collections.abc import Callable
from dataclasses import dataclass

from greenpool.observe.limiter import Limiter

Keeper = Callable[[int, str], None]

_FORMATTER = string.Formatter()
_KEPT: list[Keeper] = []  # one, or none
LIMITER = Limiter()
"""Of this process; `withheld.py` tells what it has held back."""


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of event; `words` names its fields, `more` those that are for programs only.

    `kept` is the number under which the house remembers it; None: it does not.
    """

    name: str
    level: int
    words: str
    doc: str
    more: tuple[str, ...] = ()
    kept: int | None = None
    is_limited: bool = False
    """Who is outside can cause it as often as they like: what is too much is only counted."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the names of all fields."""
        named = (name for _, name, _, _ in _FORMATTER.parse(self.words) if name)
        return tuple(dict.fromkeys((*named, *self.more)))

    def tell(
        self, log: logging.Logger, /, exception: BaseException | None = None, **fields: object
    ) -> None:
        """Log it, with the traceback of `exception`, and keep it if it is of that kind.

        Switches: no.
        """
        if self.kept is not None and _KEPT:
            _KEPT[0](self.kept, to_text(self.words.format_map(fields), fields))
        if self.is_limited and not LIMITER.admits(self.name, time.monotonic()):
            return
        if log.isEnabledFor(self.level):
            words = self.words.format_map(fields)
            log.log(self.level, "%s", words, extra=self._extra(fields), exc_info=exception)

    def record(self, logger: str, /, **fields: object) -> logging.LogRecord:
        """Make the line without logging it, for handlers that cannot."""
        values = (self.words.format_map(fields),)
        record = logging.LogRecord(logger, self.level, __file__, 0, "%s", values, None)
        vars(record).update(self._extra(fields))
        return record

    def _extra(self, fields: dict[str, object]) -> dict[str, object]:
        return {"event": self.name, "fields": fields}


def keep_with(keeper: Keeper | None) -> None:
    """Have kept events go there from now on, in this process and those that it forks."""
    _KEPT[:] = [] if keeper is None else [keeper]


def to_text(message: str, fields: dict[str, object]) -> str:
    """Return how an event is kept."""
    parts = (message, *(f"{name}={value}" for name, value in fields.items()))
    return "\0".join(part.replace("\0", " ") for part in parts)


def from_text(text: str) -> tuple[str, dict[str, str]]:
    """Return the message and the fields of a kept event."""
    message, *parts = text.split("\0")
    pairs = (part.partition("=") for part in parts)
    return message, {name: value for name, _, value in pairs}
