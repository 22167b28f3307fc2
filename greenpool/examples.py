"""Examples for the help of commands."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """Return what click shows below the options; `lines` are commands without `greenpool`."""
    return "\n".join(["\b", "Examples:", *(f"  greenpool {line}" for line in lines)])
