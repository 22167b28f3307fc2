"""What a master leaves to the one that takes over: descriptors, and a text that explains them.

The text is JSON in a memfd of its own, because it holds secrets; the environment names only the
memfd. Descriptors keep their numbers over exec(2): the shared segment holds numbers itself.
Law: a field is never given another meaning. One more has a default, as it is for who comes from a
version that does not leave it, and one that is not known is passed over. Where that does not do,
VERSION rises, and who does not know the VERSION refuses, whereupon the old generation goes on.
Partners: `upgrade`, which leaves it, `main`, which takes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, MutableMapping
from dataclasses import asdict, dataclass, field
from dataclasses import fields as dataclass_fields
from typing import Any

from greenpool.errors import HandoffError
from greenpool.master.pools import PoolMark

VERSION = 2
VARIABLE = "GREENPOOL_INHERITANCE"

_BYTES_MAX = 64 << 20


@dataclass(frozen=True, slots=True)
class Inheritance:
    """All fields are what JSON can hold; those named *_fd and *_fds are open descriptors."""

    generation: int
    """The number of the generation that inherits; the first one is 1."""
    program: str
    """The version of greenpool that leaves this."""
    started_s: float
    """When greenpool was first started, time.monotonic()."""
    handoff_fd: int
    lifeline_fds: tuple[int, int]
    """Of the new generation: to read from, to write to."""
    elder_lifeline_fd: int
    segment_fds: tuple[int, ...]
    pid_file: str | None
    listeners: tuple[tuple[str, int], ...]
    """Address as the configuration has it, descriptor."""
    web: tuple[tuple[str, int], ...]
    """The same of what the observer serves on."""
    are_activated: bool
    """Whether the listeners are the service manager's."""
    free_places: tuple[int, ...]
    elder_places: tuple[int, ...]
    """Places that are not free before the elder generation is gone."""
    pool_marks: tuple[PoolMark, ...]
    boot_secret: str = field(repr=False)
    """In hexadecimal."""

    def fds(self) -> Iterator[int]:
        """Go through all descriptors."""
        yield self.handoff_fd
        yield self.elder_lifeline_fd
        yield from self.lifeline_fds
        yield from self.segment_fds
        yield from (fd for _, fd in (*self.listeners, *self.web))

    def leave(self) -> int:
        """Write it into a memfd; return that. Raises: OSError."""
        fd = os.memfd_create("greenpool-inheritance", os.MFD_CLOEXEC)
        text = json.dumps({"version": VERSION, **asdict(self)}).encode()
        with open(fd, "wb", closefd=False) as file:
            file.write(text)
        return fd

    @classmethod
    def take(cls, environment: MutableMapping[str, str]) -> Inheritance | None:
        """Return what this process was left, once, and close its descriptors on exec again.

        None: nothing. Raises: HandoffError.
        """
        number = environment.pop(VARIABLE, None)
        if number is None:
            return None
        try:
            text = os.pread(int(number), _BYTES_MAX, 0)
            os.close(int(number))
            inherited = _read(json.loads(text))
            for fd in inherited.fds():
                os.set_inheritable(fd, False)
        except (ValueError, TypeError, KeyError, OSError) as exc:
            raise HandoffError(f"cannot read what the master before has left: {exc}") from exc
        return inherited


def _read(fields: dict[str, Any]) -> Inheritance:
    version = fields.pop("version")
    if version != VERSION:
        raise HandoffError(
            f"greenpool {fields.get('program')} leaves its things in form {version}, and this "
            f"version knows form {VERSION} only: stop it and start this one"
        )
    known = {field.name for field in dataclass_fields(Inheritance)}
    return Inheritance(**{name: _frozen(value) for name, value in fields.items() if name in known})


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
