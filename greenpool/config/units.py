"""Durations and sizes as people write them, and back.

Durations: "250ms" "3s" "5m" "1h" "2d"; a bare number counts milliseconds (or the unit that the
caller names). Sizes: "512B" "64KB" "64K" "1MB" "1G", powers of 1024; a bare number is bytes.
Law: `parse_x(format_x(n)) == n` for every n >= 0, and nothing is rounded, ever.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

MS_PER_S = 1000
_DURATION_MS = {"ms": 1, "s": MS_PER_S, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE_BYTES = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
_SIZE_SHORT_BYTES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
# Twenty digits hold any 64-bit number; the bounds of the keys are far below.
_QUANTITY = re.compile(r"([0-9]{1,20})\s*([A-Za-z]*)", re.ASCII)


def parse_duration(text: str, *, bare_ms: int = 1) -> int:
    """Return milliseconds; `bare_ms` is what a number without a unit counts.

    Raises: ValueError for anything that is not a number and a known unit.
    """
    return _parse(text, {"": bare_ms, **_DURATION_MS})


def format_duration(milliseconds: int) -> str:
    """Write milliseconds in the largest unit that divides them: 90000 -> "90s"."""
    return _format(milliseconds, _DURATION_MS)


def parse_size(text: str) -> int:
    """Return bytes; the unit may be in lower case.

    Raises: ValueError for anything that is not a number and a known unit.
    """
    return _parse(text.upper(), {"": 1, **_SIZE_BYTES, **_SIZE_SHORT_BYTES})


def format_size(size_bytes: int) -> str:
    """Write bytes in the largest unit that divides them: 65536 -> "64KB"."""
    return _format(size_bytes, _SIZE_BYTES)


def _parse(text: str, units: Mapping[str, int]) -> int:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in units:
        raise ValueError(text)
    return int(match[1]) * units[match[2]]


def _format(value: int, units: Mapping[str, int]) -> str:
    if value == 0:
        return "0"
    unit = max((unit for unit in units if value % units[unit] == 0), key=units.__getitem__)
    return f"{value // units[unit]}{unit}"
