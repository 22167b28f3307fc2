"""The three ways in which a transcript must be read: whole, byte by byte, cut in two anywhere."""

from __future__ import annotations

from collections.abc import Iterator


def slicings(data: bytes) -> Iterator[list[bytes]]:
    """Yield every way to feed `data` that a parser is tried with."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]
