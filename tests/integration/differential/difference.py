"""Compare two transcripts of one script, message by message."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import zip_longest

from tests.integration.differential.conversation import CLOSED, RESET
from tests.integration.harness.wire import Message

_SHOWN = 120
_CONTEXT = 3


def differences(
    direct: Sequence[Sequence[Message]], pooled: Sequence[Sequence[Message]], texts_differ: bool
) -> list[str]:
    """Say for each client where its transcript first differs; [] when none does."""
    found = []
    for client, (one, two) in enumerate(zip(direct, pooled, strict=True)):
        ours = [_comparable(each, texts_differ) for each in two]
        theirs = [_comparable(each, texts_differ) for each in one]
        if ours != theirs:
            found.append(_explain(client, theirs, ours))
    return found


def _comparable(message: Message, texts_differ: bool) -> Message:
    """Leave out what may differ: process ids, and who hung up first."""
    if message.kind == b"A":
        return Message(b"A", struct.pack("!I", 0) + message.body[4:])
    if message == RESET:
        return CLOSED
    if message.kind == b"E" and texts_differ and message.fields["S"] == "FATAL":
        return Message(b"E", f"FATAL {message.fields['C']}".encode())
    return message


def _explain(client: int, direct: Sequence[Message], pooled: Sequence[Message]) -> str:
    pairs = list(zip_longest(direct, pooled))
    at = next(index for index, (one, two) in enumerate(pairs) if one != two)
    before = "".join(each.kind.decode() for each in direct[:at])[-60:]
    lines = [f"client {client}, message {at}, after {before!r}:"]
    for one, two in pairs[at : at + _CONTEXT]:
        lines.append(f"    PostgreSQL {_show(one)}")
        lines.append(f"    greenpool  {_show(two)}")
    return "\n".join(lines)


def _show(message: Message | None) -> str:
    return "-" if message is None else f"{message.kind.decode()} {message.body[:_SHOWN]!r}"
