"""Files in PEM: certificates, keys, authorities.

They are read with the configuration that names them, by the master, before it drops privileges;
workers get the text. So a reload finds a new certificate under its old name as it finds any other
change, and a file that is gone or unreadable leaves the old one in force. What is in them is
looked at by `worker/tls_contexts.py`.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path

from greenpool.config.key import Invalid, Key, Kind
from greenpool.config.kinds import text_of
from greenpool.config.tree import Node

MAX_BYTES = 4 << 20
"""Bound of such a file; a whole system's authorities are 250 KB."""


@dataclass(frozen=True, slots=True)
class PemFile:
    """A file as it was when it was read; `is_exposed`: others than its owner and group read it."""

    path: Path
    text: bytes = field(repr=False)
    is_exposed: bool

    def __str__(self) -> str:
        return str(self.path)


def _read_pem(node: Node, key: Key) -> PemFile:
    name = text_of(node, "a path")
    if not name:
        raise Invalid("is empty")
    path = node.mark.relative(name).absolute()
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
            mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise Invalid(f'cannot read "{path}": {error.strerror}') from error
    if len(text) > MAX_BYTES:
        raise Invalid(f'"{path}" is larger than {MAX_BYTES >> 20} MB')
    return PemFile(path, text, bool(mode & stat.S_IROTH))


PEM = Kind("path of a PEM file", _read_pem)
