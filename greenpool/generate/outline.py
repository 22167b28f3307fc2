"""A configuration that is to be written: keys, values, and why they are there.

Law: neither PostgreSQL nor PgBouncer is known here, nor how YAML is written (`text.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

Scalar: TypeAlias = "str | int | bool"
Literal: TypeAlias = "Scalar | Mapping[str, str] | tuple[str | Mapping[str, str], ...]"


@dataclass(frozen=True, slots=True)
class Entry:
    """A key; `why` becomes the comment above it."""

    name: str
    value: Literal = field(repr=False)
    why: str = ""


@dataclass(frozen=True, slots=True)
class UserOutline:
    """One of a pool's users."""

    entries: tuple[Entry, ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class PoolOutline:
    """A pool; without users and auth_query it waits for the include to name some."""

    name: str
    entries: tuple[Entry, ...]
    users: tuple[UserOutline, ...]
    auth_query: tuple[Entry, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """All of it. `left_out` is what could not be said: a comment in the text, and a warning."""

    source: str
    general: tuple[Entry, ...]
    pools: tuple[PoolOutline, ...]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def having(self, entry: Entry) -> Outline:
        """Return it with this key of general, whatever it said there before."""
        others = tuple(each for each in self.general if each.name != entry.name)
        return replace(self, general=(*others, entry))
